"""How good a network is after an epoch, as one number."""

import math

from sanefit.components.foundation.schemas.training import EpochRecord, Metric


def score(record: EpochRecord, metric: Metric) -> float:
    """0 to 1, higher is better: the accuracy, or e to the power of minus the loss; 0 where the loss is not finite.

    Args:
        record: of the epoch.
        metric: of the validation split.
    """
    match metric:
        case "accuracy":
            return record.validation_accuracy
        case "balanced_accuracy":
            return record.validation_balanced_accuracy
        case "loss":
            return 0.0 if record.validation_loss is None else math.exp(-record.validation_loss)
