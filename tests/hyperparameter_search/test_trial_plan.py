import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import Said
from scipy import stats

from components.foundation.artifacts import CheckReport
from components.foundation.errors import RunFailedError
from components.foundation.run_folder import write_pack_result
from components.foundation.training_artifacts import (
    PackPlan,
    PackResult,
    Ranking,
    SearchRange,
    TrialResult,
    TrialSetting,
    TrialSpec,
)
from components.foundation.training_settings import CoarseSettings, FineSettings, SearchSettings
from components.hyperparameter_search.trial_plan import deal, draw_settings, plan_stage

RANGE = SearchRange(learning_rate=(1e-4, 3e-1), weight_decay=(1e-6, 1e2), reasons=["a reason"])
CHECKS = CheckReport(gates=[], probe=[], learning_rate_band=(0.01, 0.2))
SEARCH = SearchSettings(
    packs=3,
    coarse=CoarseSettings(trials=10, epochs=2, weight_decay=(1e-5, 1e-1)),
    fine=FineSettings(trials=4, epochs=7),
)


def spec(number: int) -> TrialSpec:
    setting = TrialSetting(learning_rate=10 ** (-1 - number / 10), weight_decay=10 ** (-4 + number / 10))
    return TrialSpec(number=number, setting=setting, epochs=1, seed=number)


def in_order(plans: list[PackPlan]) -> list[TrialSpec]:
    return sorted((trial for plan in plans for trial in plan.trials), key=lambda trial: trial.number)


def values(trials: list[TrialSetting], name: str) -> list[float]:
    return [getattr(setting, name) for setting in trials]


@pytest.fixture(scope="module")
def drawn() -> list[TrialSetting]:
    return draw_settings(RANGE, 2000, seed=2**62 + 1)


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
def test_draws_are_uniform_in_the_logarithm_over_the_whole_range(drawn: list[TrialSetting], name: str) -> None:
    low, high = getattr(RANGE, name)
    draws = np.array(values(drawn, name))
    assert low <= draws.min() <= draws.max() <= high
    uniform = stats.uniform(math.log10(low), math.log10(high / low))
    assert stats.kstest(np.log10(draws), uniform.cdf).pvalue > 0.001


def test_the_two_values_of_a_trial_are_independent(drawn: list[TrialSetting]) -> None:
    rates, decays = (np.log(values(drawn, name)) for name in ("learning_rate", "weight_decay"))
    assert stats.spearmanr(rates, decays).pvalue > 0.001
    assert stats.spearmanr(rates[1:], rates[:-1]).pvalue > 0.001


@settings(deadline=None)
@given(
    st.floats(-9, 3),
    st.floats(0.01, 8),
    st.integers(1, 5),
    st.integers(0, 2**63 - 1),
)
def test_every_draw_is_within_the_bounds_and_the_same_for_the_same_seed(
    low: float, width: float, trials: int, seed: int
) -> None:
    bounds = (10**low, 10 ** (low + width))
    searched = SearchRange(learning_rate=bounds, weight_decay=bounds, reasons=[])
    drawn = draw_settings(searched, trials, seed)
    assert len(drawn) == trials
    for value in values(drawn, "learning_rate") + values(drawn, "weight_decay"):
        assert bounds[0] <= value <= bounds[1]
    assert draw_settings(searched, trials, seed) == drawn
    other = draw_settings(searched, trials, seed ^ 1)
    assert set(values(drawn, "learning_rate")).isdisjoint(values(other, "learning_rate"))


@settings(deadline=None)
@given(trials=st.integers(1, 200), packs=st.integers(1, 30))
def test_each_trial_is_dealt_once_and_packs_differ_by_at_most_one(trials: int, packs: int) -> None:
    specs = [spec(number % 40).model_copy(update={"number": number}) for number in range(trials)]
    plans = deal("fine", RANGE, specs, packs)
    assert in_order(plans) == specs
    sizes = [len(plan.trials) for plan in plans]
    assert len(plans) == min(trials, packs)
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert [plan.pack for plan in plans] == list(range(len(plans)))
    for plan in plans:
        assert (plan.stage, plan.packs, plan.trials_in_stage) == ("fine", len(plans), trials)
        assert plan.search_range == RANGE


def test_the_coarse_stage_searches_the_probes_band(said: Said) -> None:
    plans = plan_stage("coarse", SEARCH, CHECKS, None, seed=0, say=said)
    trials = in_order(plans)
    assert [len(plan.trials) for plan in plans] == [4, 3, 3]
    assert [trial.number for trial in trials] == list(range(10))
    assert {trial.epochs for trial in trials} == {2}
    assert len({trial.seed for trial in trials}) == 10
    for trial in trials:
        assert 0.01 <= trial.setting.learning_rate <= 0.2
        assert 1e-5 <= trial.setting.weight_decay <= 1e-1
    assert {plan.search_range.learning_rate for plan in plans} == {(0.01, 0.2)}
    assert any("the learning-rate probe" in line for line in said)
    assert said[-1] == "10 trials of 2 epochs in 3 packs"


def test_the_coarse_stage_has_no_range_without_a_band(said: Said) -> None:
    checks = CHECKS.model_copy(update={"learning_rate_band": None})
    with pytest.raises(RunFailedError):
        plan_stage("coarse", SEARCH, checks, None, seed=0, say=said)


def test_the_fine_stage_searches_where_the_best_coarse_trials_were(tmp_path: Path, said: Said) -> None:
    accuracies = {n: 0.5 + n / 100 for n in range(15)}  # the best three are 12, 13, 14
    results = [
        TrialResult(spec=spec(n), status="ok", validation_accuracy=a, epochs=[], seconds=1.0)
        for n, a in accuracies.items()
    ]
    uris = [
        write_pack_result(str(tmp_path), pack, PackResult(stage="coarse", search_range=RANGE, results=results[pack::2]))
        for pack in range(2)
    ]
    previous = Ranking(
        stage="coarse",
        search_range=RANGE,
        best=spec(14).setting,
        best_trial=14,
        best_validation_accuracy=0.64,
        trials=15,
        diverged=0,
        pack_uris=uris,
    )
    plans = plan_stage("fine", SEARCH, CHECKS, previous, seed=0, say=said)
    trials = in_order(plans)
    # They span 0.2 decades, so both ranges become half a decade around trial 13.
    assert plans[0].search_range.learning_rate == pytest.approx((10**-2.55, 10**-2.05))
    assert plans[0].search_range.weight_decay == pytest.approx((10**-2.95, 10**-2.45))
    assert {plan.stage for plan in plans} == {"fine"}
    assert [(trial.number, trial.epochs) for trial in trials] == [(n, 7) for n in range(4)]
    for trial in trials:
        assert 10**-2.55 <= trial.setting.learning_rate <= 10**-2.05
    assert said[:2] == plans[0].search_range.reasons


def test_stages_seeds_and_trials_all_have_their_own_draws_and_weights(said: Said) -> None:
    search = SEARCH.model_copy(update={"fine": FineSettings(trials=10)})
    plans = {
        (stage, seed): plan_stage(stage, search, CHECKS, None, seed, said)
        for stage in ("coarse", "fine")
        for seed in (0, 1)
    }
    trials = [trial for plan in plans.values() for trial in in_order(plan)]
    assert len({trial.seed for trial in trials}) == 40
    assert len({trial.setting.learning_rate for trial in trials}) == 40
    assert plan_stage("coarse", search, CHECKS, None, 1, said) == plans["coarse", 1]
