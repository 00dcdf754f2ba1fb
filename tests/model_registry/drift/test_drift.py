"""When a difference is a drift: significant, and large enough."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_ind

from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.model_registry.drift.drift import DriftReport, compare
from sanefit.components.model_registry.drift.image_sample import ImageSample

SETTINGS = DriftSettings()
pytestmark = pytest.mark.slow

NAMES = ["brightness", "contrast", "sharpness", "confidence", "scores", "predicted classes"]


def made_up(images: int, seed: int, shift: float = 0.0, first_class: float = 0.25) -> ImageSample:
    """Of 4 classes. ``shift``: of the first statistic, in standard deviations."""
    random = np.random.default_rng(seed)
    statistics = random.normal(size=(images, 3)).astype(np.float32)
    statistics[:, 0] += np.float32(shift)
    scores = random.normal(size=(images, 4)).astype(np.float32)
    shares = [first_class, *[(1 - first_class) / 3] * 3]
    return ImageSample(statistics, scores, scores.max(axis=1), random.multinomial(images, shares))


def found(one: ImageSample, other: ImageSample, given: DriftSettings = SETTINGS) -> DriftReport:
    return compare(one, other, 1, given, 0)


def names(report: DriftReport) -> list[str]:
    return [difference.name for difference in report.drifted]


def test_every_test_is_reported_once() -> None:
    report = found(made_up(100, 0), made_up(100, 1))
    assert [difference.name for difference in report.differences] == NAMES
    assert names(report) == []


@given(st.integers(30, 60), st.integers(0, 1000))
@settings(max_examples=20)
def test_a_sample_has_not_drifted_from_itself(images: int, seed: int) -> None:
    sample = made_up(images, seed)
    report = found(sample, sample)
    assert names(report) == []
    assert all(difference.effect == 0 for difference in report.differences)


def test_a_shift_is_found_and_named() -> None:
    assert names(found(made_up(500, 0), made_up(500, 1, shift=0.6))) == ["brightness"]
    assert names(found(made_up(500, 0), made_up(500, 1, first_class=0.5))) == ["predicted classes"]


def test_a_trifle_is_no_drift_however_many_images_show_it() -> None:
    """Half of what counts, and far beyond chance."""
    trifle = [made_up(400, seed, shift) for seed, shift in ((0, 0.0), (1, 0.1))]
    random = np.random.default_rng(2)
    many = [
        dataclasses.replace(sample, statistics=random.normal([shift, 0, 0], size=(1_000_000, 3)).astype(np.float32))
        for sample, shift in zip(trifle, (0.0, 0.1), strict=True)
    ]
    report = found(*many)
    brightness = report.differences[0]
    assert brightness.adjusted_p_value < 1e-99
    assert 0 < brightness.effect < brightness.least_effect
    assert names(report) == []


def test_what_is_large_by_chance_is_no_drift() -> None:
    report = found(made_up(30, 0), made_up(30, 1))
    assert max(difference.effect for difference in report.differences[:3]) > report.differences[0].least_effect
    assert names(report) == []


def test_all_tests_together_keep_their_level() -> None:
    """Where the effect alone would call most of them drifted."""
    given = DriftSettings(significance=0.1)
    drifted = sum(bool(found(made_up(60, seed), made_up(80, 10_000 + seed), given).drifted) for seed in range(80))
    assert drifted <= binom.ppf(0.999, 80, 0.1)


def test_the_least_effect_is_a_setting() -> None:
    samples = made_up(1000, 0), made_up(1000, 1, shift=0.3)
    assert names(found(*samples)) == ["brightness"]
    assert names(found(*samples, DriftSettings(least_effect="medium"))) == []


def test_intervals_are_of_means_over_images() -> None:
    """All four together: each at a quarter of the level, as Welch's, nearly normal here."""
    one, other = made_up(2000, 0), made_up(1500, 1, shift=0.3)
    means = found(one, other).differences[0].means
    assert means is not None
    welch = ttest_ind(other.statistics[:, 0], one.statistics[:, 0], equal_var=False)
    expected = welch.confidence_interval(1 - 0.01 / 4)
    assert means.interval == pytest.approx((expected.low, expected.high), rel=0.01)
    assert (means.reference, means.today) == pytest.approx((one.statistics[:, 0].mean(), other.statistics[:, 0].mean()))


def test_more_images_tell_smaller_shifts() -> None:
    few, many = (found(made_up(images, 0), made_up(images, 1)).least_shift for images in (50, 2000))
    assert many == pytest.approx(0.15, abs=0.005)
    assert few > 5 * many


def test_the_same_seed_gives_the_same() -> None:
    one, other = made_up(50, 0), made_up(50, 1)
    assert found(one, other) == found(one, other)
    assert found(one, other) != compare(one, other, 1, SETTINGS, 1)
