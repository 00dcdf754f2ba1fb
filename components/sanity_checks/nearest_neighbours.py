"""What the nearest training images say: a classifier without a network, to hold one against."""

import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.training.loop.training_images import Images

NEIGHBOURS = 5
THUMBNAIL = 4  # pixels on both sides
AT_ONCE = 256  # images


def nearest_neighbours(features: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """The commonest label of the five nearest, the nearest one's of equals: int64 (asked,).

    Args:
        features: float (images, n); each of the n is divided by its standard deviation.
        labels: int64 (images,).
        asked: float (asked, n).
    """
    scale = features.std(0).clamp_min(1e-6)
    distances = torch.cdist(asked / scale, features / scale)
    nearest = labels[distances.topk(min(NEIGHBOURS, len(labels)), largest=False).indices]
    votes = functional.one_hot(nearest, int(labels.max()) + 1).double()
    nearness = 1.0 - 0.01 * torch.arange(nearest.shape[1], dtype=torch.float64)
    return (votes * nearness.reshape(1, -1, 1)).sum(1).argmax(1)


def thumbnails(pixels: Images, border: int = 0) -> Tensor:
    """Images of 4x4 pixels, float (images, 16 * channels), without a border of so many pixels; features as they are."""
    if isinstance(pixels, Tensor) and pixels.ndim == 2:
        return pixels
    _, height, width, _ = pixels.shape
    parts = []
    for part in pixels.split(AT_ONCE):
        inside = part[:, border : height - border, border : width - border].permute(0, 3, 1, 2).float()
        parts.append(functional.adaptive_avg_pool2d(inside, THUMBNAIL).flatten(1))
    return torch.cat(parts)
