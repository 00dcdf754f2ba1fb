"""Random changes to a batch of images that leave their class as it is, on the device that holds them."""

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.randomness import keyed_uniform
from sanefit.components.foundation.schemas.training import Augmentation

BORDER = 4  # pixels, as He et al. 2016 on CIFAR-10
SMALL_BORDER, SMALL = 1, 16  # of images below 16 pixels


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
    if augmentation == "none":
        return pixels
    images, height, width, _ = pixels.shape
    uniform = keyed_uniform(keys, (images,), part.rank, part.ranks)
    rows = torch.arange(height, device=pixels.device).expand(images, -1)
    columns = torch.arange(width, device=pixels.device).expand(images, -1)
    if augmentation in ("flip", "flip_crop"):
        columns = torch.where(uniform[0].unsqueeze(1) < 0.5, width - 1 - columns, columns)
    if augmentation in ("crop", "flip_crop"):
        border = SMALL_BORDER if min(height, width) < SMALL else BORDER
        moves = (uniform[1:] * (2 * border + 1)).long() - border
        rows = (rows + moves[0].unsqueeze(1)).clamp(0, height - 1)
        columns = (columns + moves[1].unsqueeze(1)).clamp(0, width - 1)
    image = torch.arange(images, device=pixels.device).reshape(-1, 1, 1)
    return pixels[image, rows.unsqueeze(2), columns.unsqueeze(1)]
