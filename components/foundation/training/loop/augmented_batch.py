"""The pixels of a batch, as training sees them, and what it is to take them for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset import erasing
from sanefit.components.foundation.image_dataset.augmentation import augment, groups_images, keys_of
from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.randomness import BITS, derive_seed
from sanefit.components.foundation.training.loop.mixing import Mix, Targets, draw_mix, mirrored
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_images import Images, read_batch

NOT_AUGMENTED = (0, 0, 0)  # keys that nobody looks at


@dataclass(frozen=True)
class Draws:
    """What chance does to the images of a batch, in every process the same: nothing by default.

    ``augmentation``, ``erasing``: keys; empty ones are for images as they are. ``mix``: of two images each.
    """

    augmentation: Sequence[int] = ()
    erasing: Sequence[int] = ()
    mix: Mix | None = None


NO_CHANCE = Draws()


def draws_of(recipe: Recipe, epoch: int, number: int, pixels: torch.Size) -> Draws:
    """Of the ``number``th batch of an epoch, from 0; ``pixels``: (images, height, width, channels)."""
    keys = _keys(recipe, "erasing", epoch, number, erasing.NUMBERS) if recipe.erasing else ()
    seed = derive_seed(recipe.batch_seed, "mixing", epoch, number)
    mix = draw_mix(recipe.mixup, recipe.cutmix, seed, (pixels[1], pixels[2]))
    return Draws(augmentation_keys(recipe, epoch, number), keys, mix)


def augmentation_keys(recipe: Recipe, epoch: int, number: int) -> Sequence[int]:
    """The keys that ``augment`` takes for the ``number``th batch of an epoch, from 0."""
    if recipe.augmentation == "none":
        return NOT_AUGMENTED
    return _keys(recipe, "augmentation", epoch, number, keys_of(recipe.augmentation))


def training_pixels(images: Images, indices: Tensor, recipe: Recipe, draws: Draws, part: BatchPart) -> Tensor:
    """(images, height, width, channels), uint8 or float32 in [0, 255]: this process's part of a batch.

    Args:
        images: that may be chosen.
        indices: of the whole batch, int64.
        recipe, draws: how they are changed.
        part: of this process.
    """
    pixels = _augmented(images, indices, recipe, draws, part)
    if draws.mix is None:
        return pixels
    other = mirrored(len(indices), part)
    mirrors = pixels if other == part else _augmented(images, indices, recipe, draws, other)
    return draws.mix.of(pixels, mirrors.flip(0))


def targets_of(labels: Tensor, indices: Tensor, draws: Draws, part: BatchPart) -> Targets:
    """The same for the labels, int64 (all images,)."""
    own = labels[part.of(indices).to(labels.device, non_blocking=True)]
    if draws.mix is None:
        return Targets(own)
    mirrors = labels[mirrored(len(indices), part).of(indices).to(labels.device, non_blocking=True)]
    return Targets(own, mirrors.flip(0), draws.mix.share)


def _keys(recipe: Recipe, name: str, epoch: int, number: int, count: int) -> list[int]:
    return [derive_seed(recipe.batch_seed, name, epoch, number, part) & BITS for part in range(count)]


def _augmented(images: Images, indices: Tensor, recipe: Recipe, draws: Draws, part: BatchPart) -> Tensor:
    pixels = read_batch(images, part.of(indices))
    if draws.augmentation:
        device = CPU if groups_images(recipe.augmentation) else pixels.device
        pixels = augment(pixels, recipe.augmentation, torch.tensor(draws.augmentation, device=device), part)
    if draws.erasing:
        pixels = erasing.erase(pixels, recipe.erasing, torch.tensor(draws.erasing, device=pixels.device), part)
    return pixels
