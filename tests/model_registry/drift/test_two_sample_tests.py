"""The tests of a drift, beside oracles that share nothing with them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, chi2_contingency, energy_distance, kstest

from sanefit.components.model_registry.drift.two_sample_tests import (
    adjusted,
    class_mix_test,
    distance_of_shift,
    energy_test,
    inhomogeneity_of_shift,
    kolmogorov_smirnov,
    least_distance,
    shift_of_distance,
)

COUNTS = arrays(np.int64, 5, elements=st.integers(0, 40)).filter(lambda counts: counts.sum() > 1)
SAMPLES = st.integers(2, 7).flatmap(
    lambda images: arrays(np.float32, (images, 2), elements=st.integers(-20, 20).map(float))
)


def normal(images: int, numbers: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(images, numbers)) + shift).astype(np.float32)


def mean_distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([math.dist(x, y) for x, y in itertools.product(one.tolist(), other.tolist())]))


def mean_distance_within(sample: np.ndarray) -> float:
    return float(np.mean([math.dist(x, y) for x, y in itertools.permutations(sample.tolist(), 2)]))


@settings(max_examples=50)
@given(SAMPLES, SAMPLES)
def test_the_energy_distance_is_that_of_all_pairs(one: np.ndarray, other: np.ndarray) -> None:
    found, between = energy_test(one, other, 1, 0), mean_distance(one, other)
    expected = 2 * between - mean_distance_within(one) - mean_distance_within(other)
    assert found.statistic == pytest.approx(expected, abs=1e-9)
    assert found.effect == pytest.approx(max(0.0, expected) / (2 * between) if between else 0, abs=1e-9)
    assert 0 <= found.effect <= 1


def test_it_is_scipy_s_in_one_dimension_but_for_the_bias() -> None:
    one, other = normal(400, 1), normal(300, 1, 0.7, seed=1)
    within = mean_distance_within(one) / len(one) + mean_distance_within(other) / len(other)
    expected = energy_distance(one[:, 0], other[:, 0]) ** 2 - within
    assert energy_test(one, other, 1, 0).statistic == pytest.approx(expected, rel=1e-6)


def test_its_p_value_is_the_share_of_all_divisions() -> None:
    pooled = np.concatenate([normal(5, 2), normal(6, 2, 1.2, seed=1)])
    statistics = []
    for chosen in itertools.combinations(range(11), 5):
        others = [number for number in range(11) if number not in chosen]
        statistics.append(energy_test(pooled[list(chosen)], pooled[others], 1, 0).statistic)
    expected = np.mean(np.array(statistics) >= statistics[0] - 1e-12)  # the first are as given
    found = energy_test(pooled[:5], pooled[5:], 20_000, 3).p_value
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / 20_000))


def test_p_values_of_equal_distributions_are_uniform() -> None:
    found = [energy_test(normal(20, 3, seed=s), normal(30, 3, seed=1000 + s), 199, s).p_value for s in range(300)]
    assert kstest(found, "uniform").pvalue > 1e-3
    random = np.random.default_rng(0)
    shares = [0.5, 0.3, 0.15, 0.04, 0.01]
    counts = [random.multinomial(80, shares, size=2) for _ in range(400)]
    low = sum(class_mix_test(one, other, 199, 0).p_value <= 0.05 for one, other in counts)
    assert low <= binom.ppf(0.9999, 400, 0.05)


def test_the_same_seed_gives_the_same() -> None:
    one, other = normal(40, 2), normal(40, 2, seed=1)
    assert energy_test(one, other, 500, 1) == energy_test(one, other, 500, 1)
    assert energy_test(one, other, 500, 1).p_value != energy_test(one, other, 500, 2).p_value


@given(COUNTS, COUNTS)
def test_the_class_mix_is_pearson_s_chi_squared(one: np.ndarray, other: np.ndarray) -> None:
    table = np.array([one, other])[:, one + other > 0]
    found = class_mix_test(one, other, 1, 0)
    expected = chi2_contingency(table, correction=False).statistic if table.shape[1] > 1 else 0.0
    assert found.statistic == pytest.approx(expected, abs=1e-9)


def test_its_p_value_is_pearson_s_where_counts_are_large() -> None:
    one, other = np.array([200, 310, 190, 300]), np.array([240, 290, 180, 290])
    expected = chi2_contingency([one, other], correction=False).pvalue
    assert class_mix_test(one, other, 20_000, 0).p_value == pytest.approx(expected, abs=0.015)


def test_its_effect_is_cohen_s_w_without_what_chance_adds() -> None:
    """However many images there are, and however many classes."""
    before, now = np.array([0.1] * 10), np.array([0.19] + [0.09] * 9)
    w = math.sqrt(((now - before) ** 2 / ((now + before) / 2)).sum())
    large = class_mix_test((before * 1_000_000).astype(int), (now * 1_000_000).round().astype(int), 1, 0)
    assert large.effect == pytest.approx(w, rel=1e-3)
    random = np.random.default_rng(0)
    found = [
        class_mix_test(random.multinomial(2000, before), random.multinomial(2000, now), 1, 0).effect for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx(w, rel=0.03)
    many = np.full(1000, 0.001)
    equal = [
        class_mix_test(random.multinomial(2000, many), random.multinomial(2000, many), 1, 0).effect for _ in range(30)
    ]
    assert np.median(equal) < 0.1


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=12))
def test_holm_rejects_one_after_another(p_values: list[float]) -> None:
    """As in its definition: the smallest at level / tests, the next at level / (tests - 1), until one is not."""
    level, rejected = 0.05, set()
    for place, number in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[number] * (len(p_values) - place) > level:
            break
        rejected.add(number)
    raised = adjusted(p_values)
    assert {number for number, value in enumerate(raised) if value <= level} == rejected
    assert all(before <= after <= 1 for before, after in zip(p_values, raised, strict=True))


@pytest.mark.parametrize("shift", [0.2, 0.5, 0.8])
def test_effects_of_shifts_are_those_of_large_normal_samples(shift: float) -> None:
    one, other = normal(200_000, 1), normal(200_000, 1, shift, seed=1)
    assert kolmogorov_smirnov(one[:, 0], other[:, 0]).effect == pytest.approx(distance_of_shift(shift), abs=0.005)
    assert shift_of_distance(distance_of_shift(shift)) == pytest.approx(shift)


@pytest.mark.parametrize("numbers", [1, 10])
@pytest.mark.parametrize("shift", [0.2, 0.5])
def test_the_energy_test_s_effect_of_a_shift_hardly_depends_on_the_dimension(shift: float, numbers: int) -> None:
    found = [
        energy_test(normal(1500, numbers, seed=s), normal(1500, numbers, shift, seed=100 + s), 1, 0).effect
        for s in range(5)
    ]
    assert np.mean(found) == pytest.approx(inhomogeneity_of_shift(shift), rel=0.15)


def test_the_least_distance_is_found_significant() -> None:
    """Shares of normal samples beyond it, at a level that can be counted."""
    limit = least_distance(0.1, 300, 200)
    beyond = [
        kolmogorov_smirnov(normal(300, 1, seed=s)[:, 0], normal(200, 1, seed=5000 + s)[:, 0]).statistic >= limit
        for s in range(1000)
    ]
    assert 0.06 <= np.mean(beyond) <= 0.12  # Smirnov's is the limit of large samples
    assert least_distance(0.001, 2000, 2000) == pytest.approx(0.0617, abs=1e-3)  # 1.95 sqrt(2 / 2000), as in tables
