"""Channel statistics of uint8 pixels, exact, in one pass."""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

BLOCK_IMAGES = 512
LEVELS = np.arange(256, dtype=np.int64)


def channel_histogram(blocks: Iterable[NDArray[np.uint8]]) -> tuple[NDArray[np.int64], int]:
    """How often each of the 256 levels occurs in each channel.

    Args:
        blocks: uint8 (images, height, width, channels) each.

    Returns:
        int64 (channels, 256) counts, and the number of images.
    """
    counts: NDArray[np.int64] | None = None
    images = 0
    for block in blocks:
        for start in range(0, len(block), BLOCK_IMAGES):
            part = block[start : start + BLOCK_IMAGES]
            channels = [np.bincount(part[..., c].ravel(), minlength=256) for c in range(part.shape[-1])]
            counts = np.stack(channels) + (0 if counts is None else counts)
            images += len(part)
    assert counts is not None  # a snapshot has training images
    return counts, images


def mean_and_std(counts: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation per channel, from exact integers to the nearest float or its neighbour.

    With n pixels, S their sum and Q the sum of their squares, all integers, the mean is S/n
    and the variance (nQ - S^2)/n^2.

    Args:
        counts: int64 (channels, 256).
    """
    means, stds = [], []
    for channel in counts:
        n = int(channel.sum())
        total = int((channel * LEVELS).sum())
        squares = int((channel * LEVELS**2).sum())
        means.append(float(Fraction(total, n)))
        stds.append(math.sqrt(Fraction(n * squares - total**2, n**2)))
    return means, stds
