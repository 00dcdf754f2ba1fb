"""Rectangles that are erased from images, so that no single place decides (Zhong et al. 2020)."""

import math

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.randomness import keyed_uniform

NUMBERS = 5  # uniform, for each image
AREA = (0.02, 0.33)  # of the image's; these are torchvision's
ASPECT_RATIO = (0.3, 3.3)


def erase(pixels: Tensor, probability: float, keys: Tensor, part: BatchPart = WHOLE) -> Tensor:
    """Give a rectangle of some images the mean color of its image.

    A rectangle whose sides would be longer than the image's is as long as they are; torchvision draws again.

    Args:
        pixels: uint8 (images, height, width, channels); not changed.
        probability: that an image is changed, in [0, 1].
        keys: int64 (``NUMBERS``,) in [0, 2^32), on the device of ``pixels``: of whether, area, aspect ratio, row,
            column.
        part: of the batch, that the pixels are.
    """
    images, height, width, _ = pixels.shape
    uniform = keyed_uniform(keys, (images,), part.rank, part.ranks)
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * uniform[1])
    low, high = map(math.log, ASPECT_RATIO)
    ratio = torch.exp(low + (high - low) * uniform[2])
    rows = _covered(height, (area * ratio).sqrt(), uniform[3])
    columns = _covered(width, (area / ratio).sqrt(), uniform[4])
    erased = rows.unsqueeze(2) & columns.unsqueeze(1) & (uniform[0] < probability).reshape(-1, 1, 1)
    mean = pixels.float().mean(dim=(1, 2), keepdim=True).round_().to(pixels.dtype)
    return torch.where(erased.unsqueeze(3), mean, pixels)


def _covered(side: int, length: Tensor, uniform: Tensor) -> Tensor:
    """Which places along a side a stretch of it covers, bool (images, side)."""
    length = length.round().clamp(1, side)
    first = (uniform * (side - length + 1)).floor().unsqueeze(1)
    place = torch.arange(side, device=length.device)
    return (place >= first) & (place < first + length.unsqueeze(1))
