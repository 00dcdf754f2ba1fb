"""The pixels of a batch, as training sees them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.augmentation import augment, groups_images, keys_of
from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.randomness import BITS, derive_seed
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_images import Images, read_batch

NOT_AUGMENTED = (0, 0, 0)  # keys that nobody looks at


def augmentation_keys(recipe: Recipe, epoch: int, number: int) -> Sequence[int]:
    """The keys that ``augment`` takes for the ``number``th batch of an epoch, from 0."""
    if recipe.augmentation == "none":
        return NOT_AUGMENTED
    return [
        derive_seed(recipe.batch_seed, "augmentation", epoch, number, part) & BITS
        for part in range(keys_of(recipe.augmentation))
    ]


def augmented_batch(images: Images, chosen: Tensor, recipe: Recipe, keys: Sequence[int], part: BatchPart) -> Tensor:
    """uint8 (chosen, height, width, channels): the images with these numbers, this process's part of a batch."""
    pixels = read_batch(images, chosen)
    device = CPU if groups_images(recipe.augmentation) else pixels.device
    return augment(pixels, recipe.augmentation, torch.tensor(keys, device=device), part)
