"""Whether two samples differ, and by how much; no test takes anything to be normal."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, norm

AT_ONCE = 256  # permutations
Values = NDArray[np.float32]
Counts = NDArray[np.int64]


class Tested(NamedTuple):
    """``effect``: how large the difference is, whatever the number of images. ``p_value``: two-sided."""

    statistic: float
    effect: float
    p_value: float


def kolmogorov_smirnov(one: Values, other: Values) -> Tested:
    """Of one number of each image: the largest distance between the shares that lie below any value, 0 to 1.

    Args:
        one, other: float32 (images,).
    """
    found = ks_2samp(one, other)
    return Tested(float(found.statistic), float(found.statistic), float(found.pvalue))


def energy_test(one: Values, other: Values, permutations: int, seed: int) -> Tested:
    """Of several numbers of each image: the energy distance, with a permutation test.

    With X and X' from one, Y and Y' from the other sample, D = 2 E|X - Y| - E|X - X'| - E|Y - Y'|, the statistic,
    without bias (G. Székely and M. Rizzo, "Energy statistics", Journal of Statistical Planning and Inference 143,
    2013). The effect is D / (2 E|X - Y|), their coefficient of inhomogeneity, 0 to 1.

    Args:
        one, other: float32 (images, numbers), two images or more each.
        permutations: how many.
        seed: of them.
    """
    pooled = np.concatenate([one, other]).astype(np.float64)
    distances = cdist(pooled, pooled)
    sums = distances.sum(axis=1)
    random, size = np.random.default_rng(seed), len(one)
    as_given = np.zeros((len(pooled), 1))
    as_given[:size] = 1
    [statistic], [between] = _energy(distances, sums, as_given)
    at_least = 0
    for start in range(0, permutations, AT_ONCE):
        drawn = random.permuted(np.tile(as_given, min(AT_ONCE, permutations - start)), axis=0)
        # What a sum's order changes in the last digits is no difference.
        at_least += int((_energy(distances, sums, drawn)[0] >= statistic - 1e-12 * between).sum())
    effect = max(0.0, float(statistic / (2 * between))) if between else 0.0
    return Tested(float(statistic), effect, (1 + at_least) / (1 + permutations))


def _energy(
    distances: NDArray[np.float64], sums: NDArray[np.float64], in_one: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy distance and mean distance between, of each division: of ``in_one``, 0 or 1 (images, divisions)."""
    n = in_one[:, 0].sum()
    m = len(in_one) - n
    within_one = np.einsum("id,id->d", in_one, distances @ in_one)
    across = sums @ in_one - within_one
    within_other = sums.sum() - 2 * across - within_one
    between = across / (n * m)
    return 2 * between - within_one / (n * (n - 1)) - within_other / (m * (m - 1)), between


def class_mix_test(one: Counts, other: Counts, resamples: int, seed: int) -> Tested:
    """Of the classes that images are called: chi-squared, exact but for the resampling, so that rare classes count.

    The null distribution is that of tables with the same margins. The effect is Cohen's w of the shares, without the
    part that chance has in it: w² = (chi² - df) (1 / n + 1 / m), as in Bergsma's correction of Cramér's V (Journal of
    the Korean Statistical Society 42, 2013).

    Args:
        one, other: int64 (classes,), how many images are called each; each has some.
        resamples: how many tables.
        seed: of them.
    """
    totals = one + other
    one, totals = one[totals > 0], totals[totals > 0]
    n, m = int(one.sum()), int((totals - one).sum())
    random = np.random.default_rng(seed)
    statistic = _chi_squared(one[np.newaxis], totals)[0]
    at_least = 0
    for start in range(0, resamples, AT_ONCE):
        drawn = random.multivariate_hypergeometric(totals, n, min(AT_ONCE, resamples - start), method="marginals")
        at_least += int((_chi_squared(drawn, totals) >= statistic * (1 - 1e-12)).sum())
    excess = max(0.0, float(statistic) - (len(totals) - 1))
    return Tested(float(statistic), math.sqrt(excess * (1 / n + 1 / m)), (1 + at_least) / (1 + resamples))


def _chi_squared(drawn: Counts, totals: Counts) -> NDArray[np.float64]:
    """Pearson's, of tables whose first rows these are: int64 (tables, classes)."""
    n, images = drawn[0].sum(), totals.sum()
    expected = totals * (n / images)
    found: NDArray[np.float64] = ((drawn - expected) ** 2 / expected).sum(axis=1) * (images / (images - n))
    return found


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's p-values (Scandinavian Journal of Statistics 6, 1979): at most the level, the family's error is, too."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    raised = np.minimum(1, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    found = np.empty(len(order))
    found[order] = raised
    return [float(value) for value in found]


def distance_of_shift(shift: float) -> float:
    """Kolmogorov and Smirnov's of two normal distributions whose means are so many standard deviations apart."""
    return float(2 * norm.cdf(shift / 2) - 1)


def shift_of_distance(distance: float) -> float:
    """The reverse, of a distance in [0, 1)."""
    return float(2 * norm.ppf((1 + distance) / 2))


def inhomogeneity_of_shift(shift: float) -> float:
    """The energy test's effect of two normal distributions that are so far apart in each of their coordinates.

    From E|X - Y| = E|X - X'| (1 + shift² / 4), which holds to the second order in the shift, in any dimension.
    """
    return shift**2 / (4 + shift**2)


def least_distance(level: float, n: int, m: int) -> float:
    """The least Kolmogorov-Smirnov distance that is significant at a level, in large samples of n and m (Smirnov)."""
    return min(1.0, math.sqrt(-math.log(level / 2) / 2 * (1 / n + 1 / m)))
