import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import qmc
from trial_results import made_up_result

from sanefit.components.foundation.schemas.search import SearchRange, TrialResult, TrialSetting
from sanefit.components.hyperparameter_search.plan.drawing import draw_quasi_random, draw_random, draw_tpe

pytestmark = pytest.mark.slow

RANGE = SearchRange(learning_rate=(1e-4, 3e-1), weight_decay=(1e-6, 1e2), reasons=[])
WIDE = RANGE.model_copy(
    update={
        "ranges": {"momentum": (0.5, 0.99), "dropout": (0.0, 0.5), "warmup": (0.1, 0.3)},
        "choices": {"batch_size": [32, 64, 128], "optimizer": ["sgd", "adamw"], "init": ["he"]},
    }
)


def values(trials: list[TrialSetting], name: str) -> list[float]:
    return [getattr(setting, name) for setting in trials]


def shares(trials: list[TrialSetting]) -> np.ndarray:
    """Each trial's place in the ranges of WIDE, 0 to 1: rate, decay, momentum, dropout, warm-up."""
    logs = [
        np.log(np.array(values(trials, name)) / low) / math.log(high / low)
        for name, (low, high) in {"learning_rate": RANGE.learning_rate, "weight_decay": RANGE.weight_decay}.items()
    ]
    linear = [(np.array(values(trials, name)) - low) / (high - low) for name, (low, high) in WIDE.ranges.items()]
    return np.stack([*logs, *linear], axis=1)


@pytest.fixture(scope="module")
def drawn() -> list[TrialSetting]:
    return draw_random(WIDE, 2000, seed=2**62 + 1)


@pytest.mark.parametrize("column", range(5))
def test_random_draws_are_uniform_over_the_whole_range(drawn: list[TrialSetting], column: int) -> None:
    """Rate and decay in the logarithm, the others on their own scale."""
    assert stats.kstest(shares(drawn)[:, column], stats.uniform.cdf).pvalue > 0.001


def test_random_choices_are_equally_likely(drawn: list[TrialSetting]) -> None:
    for name, choices in WIDE.choices.items():
        counts = Counter(values(drawn, name))
        assert set(counts) == set(choices)
        assert stats.chisquare(list(counts.values())).pvalue > 0.001 or len(choices) == 1


def test_the_values_of_a_random_trial_are_independent(drawn: list[TrialSetting]) -> None:
    columns = [*shares(drawn).T, np.array(values(drawn, "batch_size"))]
    for place, one in enumerate(columns):
        assert stats.spearmanr(one[1:], one[:-1]).pvalue > 0.001
        for other in columns[place + 1 :]:
            assert stats.spearmanr(one, other).pvalue > 0.001


def test_a_further_range_leaves_the_random_rates_and_decays_as_they_were(drawn: list[TrialSetting]) -> None:
    alone = draw_random(RANGE, 2000, seed=2**62 + 1)
    for name in ("learning_rate", "weight_decay"):
        assert values(alone, name) == values(drawn, name)
    assert {setting.momentum for setting in alone} == {None}


def inside(trials: list[TrialSetting], searched: SearchRange) -> bool:
    ranges = {"learning_rate": searched.learning_rate, "weight_decay": searched.weight_decay, **searched.ranges}
    return all(low <= value <= high for name, (low, high) in ranges.items() for value in values(trials, name)) and all(
        value in choices for name, choices in searched.choices.items() for value in values(trials, name)
    )


@settings(deadline=None, max_examples=40)
@given(st.floats(-9, 3), st.floats(0.01, 8), st.integers(1, 5), st.integers(0, 2**63 - 1), st.integers(0, 15))
def test_every_draw_is_within_the_bounds_and_the_same_for_the_same_seed(
    low: float, width: float, trials: int, seed: int, told: int
) -> None:
    bounds = (10**low, 10 ** (low + width))
    searched = WIDE.model_copy(update={"learning_rate": bounds, "weight_decay": bounds})
    # Half of what TPE is told of lies outside.
    results = [
        made_up_result(n, n / 20, **{**setting.searched, "dropout": (n % 2) * 0.4 + 0.05})
        for n, setting in enumerate(draw_random(searched, told, seed ^ 2))
    ]
    narrower = searched.model_copy(update={"ranges": {**searched.ranges, "dropout": (0.0, 0.2)}})

    def draw(seed: int) -> list[list[TrialSetting]]:
        tpe, known = draw_tpe(narrower, results, trials, seed)
        assert known == (told + 1) // 2
        return [draw_random(narrower, trials, seed), draw_quasi_random(narrower, trials, seed), tpe]

    first, other = draw(seed), draw(seed ^ 1)
    assert draw(seed) == first
    for one, two in zip(first, other, strict=True):
        assert len(one) == trials
        assert inside(one, narrower)
        assert set(values(one, "learning_rate")).isdisjoint(values(two, "learning_rate"))


def test_quasi_random_draws_are_a_sobol_sequence_choices_too() -> None:
    drawn = draw_quasi_random(WIDE, 64, seed=3)
    places = shares(drawn)
    for column in places.T:  # each 64th of the range has one: a random draw leaves a third of them empty
        assert sorted(np.floor(64 * np.clip(column, 0, 1 - 1e-12)).astype(int)) == list(range(64))
    assert max(Counter(values(drawn, "optimizer")).values()) == 32
    assert sorted(Counter(values(drawn, "batch_size")).values()) == [21, 21, 22]
    assert {setting.init for setting in drawn} == {"he"}
    random = shares(draw_random(WIDE, 64, seed=3))
    assert qmc.discrepancy(np.clip(places, 0, 1)) < 0.5 * qmc.discrepancy(random)


def peaked(settings: list[TrialSetting], epochs: int = 1) -> list[TrialResult]:
    """Best at a rate of 1e-2 and with batches of 64."""
    return [
        made_up_result(
            n,
            0.9 - 0.1 * abs(math.log10(setting.learning_rate) + 2) - 0.1 * (setting.batch_size != 64),
            epochs=epochs,
            **setting.searched,
        )
        for n, setting in enumerate(settings)
    ]


def distances(trials: list[TrialSetting]) -> np.ndarray:
    return np.abs(np.log10(values(trials, "learning_rate")) + 2)


def test_tpe_draws_near_good_trials() -> None:
    known = peaked(draw_random(WIDE, 60, seed=0))
    drawn, told = draw_tpe(WIDE, known, 40, seed=1)
    random = draw_random(WIDE, 40, seed=1)
    assert told == 60
    assert distances(drawn).mean() < 0.5 * distances(random).mean()
    assert values(drawn, "batch_size").count(64) > 25
    assert len(set(values(drawn, "learning_rate"))) == 40


def test_tpe_keeps_away_from_what_diverged_or_took_too_much_memory_and_learns_nothing_from_errors() -> None:
    settings = draw_random(WIDE, 60, seed=0)

    def low_rates(status: str) -> int:
        known = [
            result
            if setting.learning_rate < 1e-2
            else result.model_copy(update={"status": status, "validation_accuracy": 0.99})
            for setting, result in zip(settings, peaked(settings), strict=True)
        ]
        return sum(setting.learning_rate < 1e-2 for setting in draw_tpe(WIDE, known, 40, seed=1)[0])

    assert low_rates("diverged") > 30
    assert low_rates("out_of_memory") > 30
    assert low_rates("ok") < 10
    failed = [result.model_copy(update={"status": "error"}) for result in peaked(settings)]
    assert draw_tpe(WIDE, failed, 5, seed=1) == draw_tpe(WIDE, [], 5, seed=1)


def test_tpe_ranks_a_stopped_trial_below_one_that_went_on() -> None:
    settings = draw_random(WIDE, 60, seed=0)
    long = peaked(settings, epochs=9)
    known = [
        result if n % 2 else made_up_result(n, 0.99, "stopped", 1, **{**setting.searched, "learning_rate": 0.25})
        for n, (setting, result) in enumerate(zip(settings, long, strict=True))
    ]
    assert distances(draw_tpe(WIDE, known, 40, seed=1)[0]).mean() < 0.6


@pytest.mark.slow
def test_draws_of_one_round_keep_away_from_each_other() -> None:
    """They lie farther apart than draws of which none knows of the others."""
    together = alone = 0.0
    for seed in range(8):
        known = peaked(draw_random(WIDE, 20, seed))
        one_by_one = [draw_tpe(WIDE, known, 1, seed=n)[0][0] for n in range(30)]
        together += shares(draw_tpe(WIDE, known, 30, seed=1)[0]).std(axis=0).sum()
        alone += shares(one_by_one).std(axis=0).sum()
    assert together > 1.02 * alone


def test_the_order_in_which_results_come_does_not_matter() -> None:
    known = peaked(draw_random(WIDE, 30, seed=0))
    assert draw_tpe(WIDE, known, 5, seed=1) == draw_tpe(WIDE, known[::-1], 5, seed=1)
