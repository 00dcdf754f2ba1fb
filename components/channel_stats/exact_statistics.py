"""Channel statistics of uint8 pixels, exact: whole numbers are summed, and divided once, at the end."""

import math
from fractions import Fraction

import numkong
import numpy as np
from numpy.typing import NDArray

PIXELS_AT_ONCE = 2**16  # so that all passes but the first find the pixels in the cache


def channel_sums(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels, and per channel their sum and the sum of their squares.

    Args:
        pixels: uint8 (…, channels), contiguous.

    Returns:
        int64 (1 + 2 * channels,): the count, the sums, the sums of squares. Those of parts add up.
    """
    channels = pixels.shape[-1]
    flat = np.asarray(pixels).reshape(-1, channels)  # slices of a memmap take ten times as long
    totals = [0] * (1 + 2 * channels)
    for start in range(0, len(flat), PIXELS_AT_ONCE):
        part = flat[start : start + PIXELS_AT_ONCE]
        # All channels together first: that pass gets the pixels from memory, at three times the speed of one with gaps.
        together = numkong.moments(part.reshape(-1))
        apart = [numkong.moments(part[:, channel]) for channel in range(channels - 1)]
        last = [whole - sum(others) for whole, *others in zip(together, *apart, strict=True)]
        sums, squares = zip(*apart, last, strict=True)
        totals = [total + more for total, more in zip(totals, (len(part), *sums, *squares), strict=True)]
    return np.array(totals, dtype=np.int64)


def mean_and_std(sums: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation per channel, from exact integers to the nearest float or its neighbor.

    With n pixels, S their sum and Q the sum of their squares, all integers, the mean is S/n
    and the variance (nQ - S^2)/n^2.

    Args:
        sums: int64 (1 + 2 * channels,), as ``channel_sums`` gives it.
    """
    n, *rest = sums.tolist()
    channels = len(rest) // 2
    means, stds = [], []
    for total, squares in zip(rest[:channels], rest[channels:], strict=True):
        means.append(float(Fraction(total, n)))
        stds.append(math.sqrt(Fraction(n * squares - total**2, n**2)))
    return means, stds


def channel_histogram(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each of the 256 levels occurs in each channel: int64 (channels, 256).

    Args:
        pixels: uint8 (images, height, width, channels).
    """
    return np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[-1])])
