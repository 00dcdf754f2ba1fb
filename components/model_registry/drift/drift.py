"""Whether images have drifted from those that a version was trained on, and by how much."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.drift import LEAST_EFFECT, DriftSettings
from sanefit.components.model_registry.drift.image_sample import ImageSample, statistic_names
from sanefit.components.model_registry.drift.two_sample_tests import (
    Tested,
    adjusted,
    class_mix_test,
    distance_of_shift,
    energy_test,
    inhomogeneity_of_shift,
    kolmogorov_smirnov,
    least_distance,
    shift_of_distance,
)

RESAMPLES = 2000
SMALLEST = 1e-99  # p-value that is shown
CONFIDENCE, SCORES, CLASSES = "confidence", "scores", "predicted classes"


@dataclass(frozen=True)
class Means:
    """Of a number of each image. ``interval``: of today's mean less the reference's; all of a report's hold together
    with a confidence of 1 less its significance.
    """

    reference: float
    today: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """What one test found.

    ``test``: its name. ``statistic``: its own. ``p_value``: its own; ``adjusted_p_value``: of all tests together, after
    Holm. ``effect``: how large the difference is; ``least_effect``: from where on it counts. ``means``: of what is one
    number of each image.
    """

    name: str
    test: str
    statistic: float
    p_value: float
    adjusted_p_value: float
    effect: float
    least_effect: float
    drifted: bool
    means: Means | None = None


@dataclass(frozen=True)
class DriftReport:
    """``least_shift``: in standard deviations, the least shift of a mean that so many images tell from chance.

    ``class_shares``: of each class, the share of the reference's images that are called it, and of today's.
    """

    differences: list[Difference]
    least_shift: float
    class_shares: list[tuple[float, float]]

    @property
    def drifted(self) -> list[Difference]:
        """What has; empty where nothing has."""
        return [difference for difference in self.differences if difference.drifted]


def verdict_of(report: DriftReport) -> str:
    """In one line, with numbers."""
    if report.drifted:
        return f"drifted: {', '.join(map(_with_numbers, report.drifted))}"
    nearest = min(report.differences, key=lambda one: one.adjusted_p_value)
    return f"not drifted: nearest to it is {_with_numbers(nearest)}"


def _with_numbers(one: Difference) -> str:
    return f"{one.name} (effect {one.effect:.3f}, p {p_value_in_words(one.adjusted_p_value)})"


def p_value_in_words(p_value: float) -> str:
    """One that is too small for a number as less than another."""
    return f"{p_value:.1e}" if p_value >= SMALLEST else f"<{SMALLEST:.0e}"


def compare(
    reference: ImageSample, today: ImageSample, channels: int, settings: DriftSettings, seed: int
) -> DriftReport:
    """Compare two samples of images by one test for each statistic, the confidence, the scores and the classes.

    What differs must be significant, at ``settings.significance`` for all tests together (Holm), and at least as
    large as ``settings.least_effect``.

    Args:
        reference, today: of images of one shape, for the same model; two images or more each.
        channels: of the images, 1 or 3.
        settings: when a difference counts.
        seed: of the permutations.
    """
    names = (*statistic_names(channels), CONFIDENCE)
    tests = len(names) + 2
    least, level = LEAST_EFFECT[settings.least_effect], settings.significance
    resamples = max(RESAMPLES, math.ceil(2 * tests / level))
    found = [
        _Found(
            name,
            "Kolmogorov-Smirnov",
            kolmogorov_smirnov(one, other),
            distance_of_shift(least.shift),
            _means(one, other, level / len(names)),
        )
        for name, one, other in zip(names, _numbers(reference), _numbers(today), strict=True)
    ]
    scores = energy_test(reference.scores, today.scores, resamples, derive_seed(seed, SCORES))
    found.append(_Found(SCORES, "energy distance", scores, inhomogeneity_of_shift(least.shift)))
    classes = class_mix_test(reference.class_counts, today.class_counts, resamples, derive_seed(seed, CLASSES))
    found.append(_Found(CLASSES, "chi-squared", classes, least.mix))
    raised = adjusted([one.tested.p_value for one in found])
    distance = least_distance(level / tests, len(reference.statistics), len(today.statistics))
    return DriftReport(
        [_judged(one, p_value, level) for one, p_value in zip(found, raised, strict=True)],
        shift_of_distance(distance),
        _class_shares(reference, today),
    )


@dataclass(frozen=True)
class _Found:
    name: str
    test: str
    tested: Tested
    least_effect: float
    means: Means | None = None


def _judged(found: _Found, adjusted_p_value: float, level: float) -> Difference:
    tested = found.tested
    return Difference(
        name=found.name,
        test=found.test,
        statistic=tested.statistic,
        p_value=tested.p_value,
        adjusted_p_value=adjusted_p_value,
        effect=tested.effect,
        least_effect=found.least_effect,
        drifted=adjusted_p_value <= level and tested.effect >= found.least_effect,
        means=found.means,
    )


def _numbers(sample: ImageSample) -> Iterator[NDArray[np.float32]]:
    """Float32 (images,) each."""
    yield from sample.statistics.T
    yield sample.confidence


def _means(one: NDArray[np.float32], other: NDArray[np.float32], level: float) -> Means:
    """With the interval of large samples; the image is the unit, for the pixels of one are alike."""
    sides = [values.astype(np.float64) for values in (one, other)]
    reference, today = (float(values.mean()) for values in sides)
    half = float(norm.isf(level / 2)) * math.sqrt(sum(float(values.var(ddof=1)) / len(values) for values in sides))
    return Means(reference, today, (today - reference - half, today - reference + half))


def _class_shares(reference: ImageSample, today: ImageSample) -> list[tuple[float, float]]:
    shares = [sample.class_counts / sample.class_counts.sum() for sample in (reference, today)]
    return list(zip(*(share.tolist() for share in shares), strict=True))
