"""Channel means from as many random images as the asked precision needs (ledger row D5).

The image is the sampling unit: pixels of one image are alike, and counting them as independent would make the
interval a hundred times too narrow.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sanefit.components.channel_stats.exact_statistics import mean_and_std

FIRST_LOOK = 200
MOST_GROWTH = 2.0  # from one look to the next: the first spreads are rough
BEYOND_PREDICTED = 1.03  # each further look is a further chance to stop by luck, so there are few


@dataclass(frozen=True)
class MeasuredChannels:
    """Per channel, in pixel units: mean, standard deviation of pixels, and half the interval around the mean.

    ``images``: how many were read.
    """

    mean: list[float]
    std: list[float]
    half_width: list[float]
    images: int


def sample_channel_statistics(
    read: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    population: int,
    tolerance: float,
    confidence: float,
    seed: int,
) -> MeasuredChannels:
    """Draw images without replacement until the interval of every channel's mean is narrow enough.

    The mean R over pixels is the ratio of the sums of pixel values y and of pixel counts x. After n of N images its
    half-width is z * s / (sqrt(n) * mean(x)) * sqrt(1 - n / N), with s the standard deviation of y - R x (Cochran,
    Sampling Techniques, 1977, 6.4) and z for ``confidence`` shared among the channels (Bonferroni). Images of one size
    make it the half-width of the mean of the images' means.

    Args:
        read: of the images with these numbers those that are whole, as ``channel_sums`` gives them: int64
            (images, 1 + 2 * channels).
        population: N, above 0.
        tolerance: largest half-width, in pixel units, above 0.
        confidence: that all channels' intervals hold, in (0, 1).
        seed: of the order.
    """
    order = np.random.default_rng(seed).permutation(population)
    parts: list[NDArray[np.int64]] = []
    drawn, goal = 0, min(FIRST_LOOK, population)
    while True:
        parts.append(read(np.sort(order[drawn:goal])))  # as they lie: sources are read fastest forward
        drawn = goal
        sums = np.concatenate(parts)
        half_width = _half_width(sums, drawn, population, confidence)
        if max(half_width) <= tolerance or drawn == population:
            break
        goal = _next_goal(drawn, population, max(half_width), tolerance)
    mean, std = mean_and_std(sums.sum(axis=0))
    return MeasuredChannels(mean, std, half_width, len(sums))


def _next_goal(drawn: int, population: int, half_width: float, tolerance: float) -> int:
    """The images that the present spread predicts, at most twice as many as now."""
    left = 1 / drawn - 1 / population
    predicted = 1 / (left * (tolerance / half_width) ** 2 + 1 / population) if math.isfinite(half_width) else math.inf
    goal = min(BEYOND_PREDICTED * predicted, MOST_GROWTH * drawn)
    return min(population, max(drawn + 1, math.ceil(goal)))


def _half_width(sums: NDArray[np.int64], drawn: int, population: int, confidence: float) -> list[float]:
    """Of each channel."""
    channels = (sums.shape[1] - 1) // 2
    if drawn == population:
        return [0.0] * channels
    if len(sums) < 2:
        return [math.inf] * channels
    pixels, values = sums[:, :1].astype(np.float64), sums[:, 1 : 1 + channels].astype(np.float64)
    residuals = values - values.sum(axis=0) / pixels.sum() * pixels
    z = NormalDist().inv_cdf(1 - (1 - confidence) / (2 * channels))
    spread = residuals.std(axis=0, ddof=1) / pixels.mean() / math.sqrt(len(sums))
    return [float(z * error * math.sqrt(1 - drawn / population)) for error in spread]
