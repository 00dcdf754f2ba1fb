"""Random changes to a batch of images that leave their class as it is, on the device that holds them."""

from collections.abc import Callable

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.randomness import keyed_uniform
from sanefit.components.foundation.schemas.training import Augmentation

BORDER = 4  # pixels, as He et al. 2016 on CIFAR-10
SMALL_BORDER, SMALL = 1, 16  # of images below 16 pixels
# From which row and column of its image each pixel is taken, int64 (images, height) and (images, width); a change is
# also given uniform numbers, float (3, images).
Places = tuple[Tensor, Tensor]
Change = Callable[[Places, Tensor], Places]


def _flip(places: Places, uniform: Tensor) -> Places:
    rows, columns = places
    return rows, torch.where(uniform[0].unsqueeze(1) < 0.5, columns.shape[1] - 1 - columns, columns)


def _crop(places: Places, uniform: Tensor) -> Places:
    sides = [place.shape[1] for place in places]
    border = SMALL_BORDER if min(sides) < SMALL else BORDER
    moves = (uniform[1:] * (2 * border + 1)).long() - border
    rows, columns = (
        (place + move.unsqueeze(1)).clamp(0, side - 1) for place, move, side in zip(places, moves, sides, strict=True)
    )
    return rows, columns


AUGMENTATIONS: dict[Augmentation, tuple[Change, ...]] = {
    "none": (),
    "flip": (_flip,),
    "crop": (_crop,),
    "flip_crop": (_flip, _crop),
}


def augment(pixels: Tensor, augmentation: Augmentation, keys: Tensor, part: BatchPart = WHOLE) -> Tensor:
    """Flip and move each image at random; what moves in from outside repeats the edge.

    Args:
        pixels: (images, height, width, channels), of any dtype; not changed.
        augmentation: ``flip`` left to right for half of them, ``crop``: moved by up to 4 pixels to each side, or both.
        keys: int64 (3,) in [0, 2^32), on the device of ``pixels``: of the flips and of both directions.
        part: of the batch, that the pixels are.

    Returns:
        What ``pixels`` is, changed.
    """
    if not AUGMENTATIONS[augmentation]:
        return pixels
    images, height, width, _ = pixels.shape
    uniform = keyed_uniform(keys, (images,), part.rank, part.ranks)
    rows = torch.arange(height, device=pixels.device).expand(images, -1)
    columns = torch.arange(width, device=pixels.device).expand(images, -1)
    for change in AUGMENTATIONS[augmentation]:
        rows, columns = change((rows, columns), uniform)
    image = torch.arange(images, device=pixels.device).reshape(-1, 1, 1)
    return pixels[image, rows.unsqueeze(2), columns.unsqueeze(1)]
