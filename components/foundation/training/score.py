"""How good a network is after an epoch, as one number."""

import math
from collections.abc import Sequence

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.training import RECALL, EpochRecord, Metric

SHOWN = 5


def score(record: EpochRecord, metric: Metric) -> float:
    """0 to 1, higher is better: the accuracy or recall, or e to the power of minus the loss; 0 without a finite loss.

    Args:
        record: of the epoch.
        metric: of the validation split.
    """
    if metric == "accuracy":
        return record.validation_accuracy
    if metric == "balanced_accuracy":
        return record.validation_balanced_accuracy
    if metric == "loss":
        return 0.0 if record.validation_loss is None else math.exp(-record.validation_loss)
    return record.validation_recall or 0.0


def judged_class(metric: Metric, class_names: Sequence[str]) -> int | None:
    """The label of the class that ``recall.CLASS`` names; None for another metric.

    Raises:
        SettingsError: when there is no such class.
    """
    name = metric.removeprefix(RECALL)
    if name == metric:
        return None
    if name not in class_names:
        known = ", ".join(class_names[:SHOWN]) + (", …" if len(class_names) > SHOWN else "")
        raise SettingsError(
            f"search.metric={metric!r}: there is no class {name!r}; expected one of {known}; correct it"
        )
    return list(class_names).index(name)
