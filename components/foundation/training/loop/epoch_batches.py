"""The batches of an epoch, as a recipe wants them."""

from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import balanced_batches, shuffled_batches
from sanefit.components.foundation.training.loop.recipe import Recipe


def epoch_batches(labels: Tensor, recipe: Recipe, epoch: int) -> tuple[Tensor, ...]:
    """Indices of images, int64, on the CPU.

    Args:
        labels: of the training split, int64 (images,).
        recipe: the size of a batch, the seed of the order, and how often each class is shown.
        epoch: from 1.
    """
    if recipe.class_weights == "balanced":
        return balanced_batches(labels.cpu(), recipe.batch_size, recipe.batch_seed, epoch)
    return shuffled_batches(len(labels), recipe.batch_size, recipe.batch_seed, epoch)
