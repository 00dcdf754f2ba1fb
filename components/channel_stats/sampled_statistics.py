"""Channel means from as many random images as the asked precision needs (ledger row D5).

The image is the sampling unit: pixels of one image are alike, and counting them as independent would make the
interval a hundred times too narrow.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from components.channel_stats.exact_statistics import channel_histogram, mean_and_std

FIRST_LOOK = 200
MOST_GROWTH = 2.0  # from one look to the next: the first spreads are rough
BEYOND_PREDICTED = 1.03  # each further look is a further chance to stop by luck, so there are few


@dataclass(frozen=True)
class SampledStatistics:
    """Per channel, in pixel units: mean, standard deviation of pixels, and half the interval around the mean.

    ``images``: how many were read. ``histogram``: int64 (channels, 256) pixel counts of those.
    """

    mean: list[float]
    std: list[float]
    half_width: list[float]
    images: int
    histogram: NDArray[np.int64]


def sample_channel_statistics(
    read: Callable[[NDArray[np.int64]], Iterable[NDArray[np.uint8]]],
    population: int,
    tolerance: float,
    confidence: float,
    seed: int,
) -> SampledStatistics:
    """Draw images without replacement until the interval of every channel's mean is narrow enough.

    After n of N images whose channel means have standard deviation s, the half-width is
    z * s / sqrt(n) * sqrt(1 - n / N), with z for ``confidence`` shared among the channels (Bonferroni).

    Args:
        read: pixels, uint8 (images, height, width, channels), of the images with these numbers, in parts of any size.
        population: N, above 0.
        tolerance: largest half-width, in pixel units, above 0.
        confidence: that all channels' intervals hold, in (0, 1).
        seed: of the order.
    """
    order = np.random.default_rng(seed).permutation(population)
    counts: NDArray[np.int64] | None = None
    means: list[NDArray[np.float64]] = []
    drawn, goal = 0, min(FIRST_LOOK, population)
    while True:
        for part in read(order[drawn:goal]):
            more, _ = channel_histogram([part])
            counts = more if counts is None else counts + more
            means.append(part.mean(axis=(1, 2), dtype=np.float64))
        drawn = goal
        half_width = _half_width(np.concatenate(means), population, confidence)
        if max(half_width) <= tolerance or drawn == population:
            break
        goal = _next_goal(drawn, population, max(half_width), tolerance)
    assert counts is not None
    mean, std = mean_and_std(counts)
    return SampledStatistics(mean, std, half_width, drawn, counts)


def _next_goal(drawn: int, population: int, half_width: float, tolerance: float) -> int:
    """The images that the present spread predicts, at most twice as many as now."""
    left = 1 / drawn - 1 / population
    predicted = 1 / (left * (tolerance / half_width) ** 2 + 1 / population) if math.isfinite(half_width) else math.inf
    goal = min(BEYOND_PREDICTED * predicted, MOST_GROWTH * drawn)
    return min(population, max(drawn + 1, math.ceil(goal)))


def _half_width(means: NDArray[np.float64], population: int, confidence: float) -> list[float]:
    """Of each channel; ``means`` is (images, channels)."""
    images, channels = means.shape
    if images == population:
        return [0.0] * channels
    if images < 2:
        return [math.inf] * channels
    z = NormalDist().inv_cdf(1 - (1 - confidence) / (2 * channels))
    remaining = math.sqrt(1 - images / population)
    return [float(z * std / math.sqrt(images) * remaining) for std in means.std(axis=0, ddof=1)]
