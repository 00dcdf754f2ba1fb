"""A random part of each image, scaled to the size of the whole (Szegedy et al. 2015)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

NUMBERS = 4  # uniform, for each image
LEAST_AREA = 0.08  # of the image's, as torchvision's RandomResizedCrop
SMALL_SIDE, LEAST_AREA_OF_SMALL = 64, 0.25  # pixels: 8 % of 32x32 are 9x9, in which little can be told
ASPECT_RATIO = 4 / 3  # at most, and 3/4 at least


def resized_crop(pixels: Tensor, uniform: Tensor) -> Tensor:
    """Crop each image and scale it back, bilinearly.

    A part whose sides would be longer than the image's is as long as they are; torchvision draws again.

    Args:
        pixels: uint8 (images, height, width, channels); not changed.
        uniform: float (4, images) in [0, 1): area, aspect ratio, row, column.
    """
    height, width = pixels.shape[1:3]
    least = LEAST_AREA_OF_SMALL if min(height, width) < SMALL_SIDE else LEAST_AREA
    area = height * width * (least + (1 - least) * uniform[0])
    ratio = torch.exp(math.log(ASPECT_RATIO) * (2 * uniform[1] - 1))
    rows = _sampled(height, (area / ratio).sqrt(), uniform[2])
    columns = _sampled(width, (area * ratio).sqrt(), uniform[3])
    grid = torch.stack(torch.broadcast_tensors(columns.unsqueeze(1), rows.unsqueeze(2)), dim=3)
    images = pixels.permute(0, 3, 1, 2).float()
    scaled = functional.grid_sample(images, grid, mode="bilinear", align_corners=False)
    return scaled.round_().to(pixels.dtype).permute(0, 2, 3, 1)


def _sampled(side: int, length: Tensor, uniform: Tensor) -> Tensor:
    """Where along a side each new pixel is taken from, (images, side), in [-1, 1] as ``grid_sample`` wants it."""
    length = length.round().clamp(1, side)
    first = (uniform * (side - length + 1)).floor().unsqueeze(1)
    length = length.unsqueeze(1)
    steps = (torch.arange(side, device=length.device) + 0.5) * length / side - 0.5
    return (2 * (first + torch.minimum(steps.clamp(min=0), length - 1)) + 1) / side - 1
