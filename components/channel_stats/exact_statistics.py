"""Channel statistics of uint8 pixels, exact, in one pass over the shards."""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.foundation.artifacts import ChannelStats, DatasetReference
from components.foundation.image_dataset.shards import iterate_shards
from components.foundation.step_log import Say

BLOCK_IMAGES = 512
LEVELS = np.arange(256, dtype=np.int64)
SMALLEST_SCALE = 1e-3  # a channel that never changes would otherwise be divided by 0


def measure_channel_stats(
    dataset: DatasetReference,
    normalization: Literal["none", "channel_mean", "channel_mean_std"],
    say: Say,
) -> ChannelStats:
    """Mean and standard deviation per channel over all pixels of the training split.

    Args:
        dataset: the snapshot; only its training split is read.
        normalization: what is subtracted and divided by; ``none`` leaves raw pixels 0-255.
        say: prints a line.
    """
    counts, images = channel_histogram(pixels for pixels, _ in iterate_shards(dataset, "train"))
    mean, std = mean_and_std(counts)
    constant = [channel for channel, value in enumerate(std) if value < SMALLEST_SCALE]
    identity, zero = [1.0] * len(mean), [0.0] * len(mean)
    stats = ChannelStats(
        normalization=normalization,
        images=images,
        mean=mean,
        std=std,
        shift=zero if normalization == "none" else mean,
        scale=[s if s >= SMALLEST_SCALE else 1.0 for s in std] if normalization == "channel_mean_std" else identity,
        histogram=counts.tolist(),
    )
    say(f"mean {_listed(mean)}, std {_listed(std)} of 255, over all {images:,} training images")
    if constant:
        say(f"warning: channel {constant} is the same everywhere; it is not divided by its standard deviation")
    if normalization == "none":
        say("warning: pixels are not normalised; all-positive inputs make gradients zig-zag")
    return stats


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


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
