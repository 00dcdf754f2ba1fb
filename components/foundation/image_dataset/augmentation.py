"""Random changes to a batch of images that leave their class as it is, on the device that holds them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset import operation_policies, random_resized_crop
from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.randomness import keyed_uniform
from sanefit.components.foundation.schemas.training import Augmentation

BORDER = 4  # pixels, as He et al. 2016 on CIFAR-10
SMALL_BORDER, SMALL = 1, 16  # of images below 16 pixels
# From which row and column of its image each pixel is taken, int64 (images, height) and (images, width); a change is
# also given uniform numbers, float (3 or more, images).
Places = tuple[Tensor, Tensor]
Change = Callable[[Places, Tensor], Places]
PLACED_BY = 3  # numbers


def _flip(places: Places, uniform: Tensor) -> Places:
    rows, columns = places
    return rows, torch.where(uniform[0].unsqueeze(1) < 0.5, columns.shape[1] - 1 - columns, columns)


def _crop(places: Places, uniform: Tensor) -> Places:
    sides = [place.shape[1] for place in places]
    border = SMALL_BORDER if min(sides) < SMALL else BORDER
    moves = (uniform[1:PLACED_BY] * (2 * border + 1)).long() - border
    rows, columns = (
        (place + move.unsqueeze(1)).clamp(0, side - 1) for place, move, side in zip(places, moves, sides, strict=True)
    )
    return rows, columns


AUGMENTATIONS: dict[Augmentation, tuple[Change, ...]] = {
    "none": (),
    "flip": (_flip,),
    "crop": (_crop,),
    "flip_crop": (_flip, _crop),
    "resized_crop": (_flip,),
    "trivial_augment": (_flip, _crop),
    "rand_augment": (_flip, _crop),
}


@dataclass(frozen=True)
class Further:
    """What is done to the pixels of each image after they were placed.

    ``change``: of uint8 (images, height, width, channels) and float (``numbers``, images) in [0, 1). ``groups``: it
    looks at the numbers, on the CPU, to change images alike together.
    """

    change: Callable[[Tensor, Tensor], Tensor]
    numbers: int
    groups: bool = False


FURTHER: dict[Augmentation, Further] = {
    "resized_crop": Further(random_resized_crop.resized_crop, random_resized_crop.NUMBERS),
    "trivial_augment": Further(operation_policies.trivial_augment, operation_policies.TRIVIAL_NUMBERS, groups=True),
    "rand_augment": Further(operation_policies.rand_augment, operation_policies.RAND_NUMBERS, groups=True),
}


def keys_of(augmentation: Augmentation) -> int:
    """How many keys ``augment`` takes."""
    return PLACED_BY + (FURTHER[augmentation].numbers if augmentation in FURTHER else 0)


def groups_images(augmentation: Augmentation) -> bool:
    """Whether it is chosen on the CPU which images are changed together, which no recorded step can."""
    return augmentation in FURTHER and FURTHER[augmentation].groups


def augment(pixels: Tensor, augmentation: Augmentation, keys: Tensor, part: BatchPart = WHOLE) -> Tensor:
    """Change each image at random; what moves in from outside repeats the edge.

    Args:
        pixels: (images, height, width, channels), of any dtype; uint8 where it is more than flipped and moved; not
            changed.
        augmentation: ``flip`` left to right for half of them, ``crop``: moved by up to 4 pixels to each side,
            ``flip_crop``: both; ``resized_crop``: after a flip; ``trivial_augment`` and ``rand_augment``: after both.
        keys: int64 (``keys_of(augmentation)``,) in [0, 2^32): of the flips, of both directions, and of the rest. On the
            device of ``pixels``, or on the CPU, which waits for no GPU where ``groups_images``.
        part: of the batch, that the pixels are.

    Returns:
        What ``pixels`` is, changed.
    """
    if not AUGMENTATIONS[augmentation]:
        return pixels
    images, height, width, _ = pixels.shape
    uniform = keyed_uniform(keys, (images,), part.rank, part.ranks)
    placed_by = uniform.to(pixels.device)
    rows = torch.arange(height, device=pixels.device).expand(images, -1)
    columns = torch.arange(width, device=pixels.device).expand(images, -1)
    for change in AUGMENTATIONS[augmentation]:
        rows, columns = change((rows, columns), placed_by)
    image = torch.arange(images, device=pixels.device).reshape(-1, 1, 1)
    placed = pixels[image, rows.unsqueeze(2), columns.unsqueeze(1)]
    if augmentation not in FURTHER:
        return placed
    further = FURTHER[augmentation]
    numbers = uniform[PLACED_BY:]
    return further.change(placed, numbers.cpu() if further.groups else numbers.to(pixels.device))
