"""All epochs of a training, one after another."""

from collections.abc import Callable
from typing import Literal

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData


def train(
    classifier: Classifier,
    data: TrainingData,
    recipe: Recipe,
    after_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> tuple[Literal["ok", "diverged"], list[EpochRecord]]:
    """Minimize the regularized loss, in place, over all epochs of the recipe.

    Stops at once when a batch's loss is not finite, or an epoch ends with a validation loss that
    is not; the last record then holds ``None`` for it.

    Args:
        classifier: from raw pixels to scores, on the data's device.
        data: both splits.
        recipe: how.
        after_epoch: called with each record.

    Returns:
        The status, and one record per epoch begun.
    """
    training = Training(classifier, data, recipe)
    records: list[EpochRecord] = []
    for epoch in range(1, recipe.epochs + 1):
        records.append(training.train_epoch(epoch))
        after_epoch(records[-1])
        if is_diverged(records[-1]):
            return "diverged", records
    return "ok", records
