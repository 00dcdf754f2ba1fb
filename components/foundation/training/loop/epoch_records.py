"""What is kept of an epoch."""

import math

from sanefit.components.foundation.schemas.training import EpochRecord


def epoch_record(
    epoch: int,
    learning_rate: float,
    train_loss: float,
    train_accuracy: float,
    validation_loss: float = math.nan,
    validation_accuracy: float = 0.0,
    validation_balanced_accuracy: float = 0.0,
    validation_recall: float = math.nan,
) -> EpochRecord:
    """The record of an epoch; a loss that is not finite is ``None``, and what came after it is not known.

    Args:
        epoch: from 1.
        learning_rate: of the last batch that was seen.
        train_loss: mean cross-entropy of the batches against the true labels, each before its step, plus the penalty
            after the last.
        train_accuracy: over the images that were seen, right answers counted as ``EpochTally`` does.
        validation_loss, validation_accuracy, validation_balanced_accuracy: after the last step.
        validation_recall: of one class; NaN where none is judged.
    """
    finite = math.isfinite(train_loss)
    return EpochRecord(
        epoch=epoch,
        learning_rate=learning_rate,
        train_loss=train_loss if finite else None,
        train_accuracy=train_accuracy,
        validation_loss=validation_loss if finite and math.isfinite(validation_loss) else None,
        validation_accuracy=validation_accuracy if finite else 0.0,
        validation_balanced_accuracy=validation_balanced_accuracy if finite else 0.0,
        validation_recall=validation_recall if finite and math.isfinite(validation_recall) else None,
    )


def is_diverged(record: EpochRecord) -> bool:
    """Whether a loss of this epoch was not finite."""
    return record.train_loss is None or record.validation_loss is None
