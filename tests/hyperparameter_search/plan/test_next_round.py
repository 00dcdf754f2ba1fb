import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trial_results import made_up_result

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.networks import MlpSettings
from sanefit.components.foundation.schemas.search import (
    CoarseSettings,
    PackPlan,
    SearchRange,
    SearchSettings,
    TrialResult,
    TrialSpec,
)
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.hyperparameter_search.plan.next_round import draw_next_round, round_size
from sanefit.components.hyperparameter_search.plan.trial_plan import plan_stage

BAND = (1e-4, 1e0)


def plans(trials: int, packs: int, seed: int = 0) -> list[PackPlan]:
    search = SearchSettings(
        method="tpe", packs=packs, folds=1, coarse=CoarseSettings(trials=trials, epochs=3, width=(8, 16))
    )
    network = MlpSettings(kind="mlp")
    return plan_stage("coarse", search, network, OptimizerSettings(), BAND, None, seed, lambda _: None)


def trained(spec: TrialSpec) -> TrialResult:
    """Best at a rate of 1e-2; rates above 0.1 diverge."""
    rate = math.log10(spec.setting.learning_rate)
    result = made_up_result(spec.number, 0.9 - 0.2 * abs(rate + 2), "ok" if rate < -1 else "diverged", 3)
    return result.model_copy(update={"spec": spec})


def whole_pack(plan: PackPlan, seed: int = 0) -> list[list[TrialSpec]]:
    """The rounds of a pack, each drawn from what those before gave."""
    rounds, results = [plan.trials], [trained(spec) for spec in plan.trials]
    while specs := draw_next_round(plan, results, seed):
        rounds.append(specs)
        results += [trained(spec) for spec in specs]
    return rounds


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.integers(1, 80), st.integers(1, 9), st.integers(0, 2**31 - 1))
def test_all_packs_together_train_every_number_once(trials: int, packs: int, seed: int) -> None:
    dealt = plans(trials, packs, seed)
    assert len(dealt) == min(packs, trials)
    specs = []
    for plan in dealt:
        rounds = whole_pack(plan, seed)
        pack_trials = sum(len(specs) for specs in rounds)
        assert pack_trials == len(plan.trials) + plan.to_draw
        assert pack_trials in (trials // len(dealt), -(-trials // len(dealt)))
        quarter = max(4, math.ceil(pack_trials / 4))
        assert [len(specs) for specs in rounds[:-1]] == [min(quarter, pack_trials)] * (len(rounds) - 1)
        assert 1 <= len(rounds[-1]) <= min(quarter, pack_trials)
        numbers = [spec.number for specs in rounds[1:] for spec in specs]
        assert numbers == [plan.first_drawn + plan.packs * n for n in range(plan.to_draw)]
        specs += [spec for specs in rounds for spec in specs]
    assert sorted(spec.number for spec in specs) == list(range(trials))
    for spec in specs:
        assert (spec.epochs, spec.seed) == (3, derive_seed(seed, "coarse", spec.number))
        assert spec.setting.width in (8, 16)
        assert 1e-4 <= spec.setting.learning_rate <= 1
    assert len({spec.setting.learning_rate for spec in specs}) == trials


def test_the_same_plan_results_and_seed_give_the_same_round_and_another_seed_or_pack_another() -> None:
    first, second = plans(60, 2)
    results = [trained(spec) for spec in first.trials]
    drawn = draw_next_round(first, results, 7)
    assert drawn == draw_next_round(first, results, 7)
    assert drawn == draw_next_round(first, results[::-1], 7)
    rates = {spec.setting.learning_rate for spec in drawn}
    for other in (
        draw_next_round(first, results, 8),
        draw_next_round(second, [trained(spec) for spec in second.trials], 7),
        draw_next_round(first, [*results, *(trained(spec) for spec in drawn)], 7),
    ):
        assert rates.isdisjoint(spec.setting.learning_rate for spec in other)


@pytest.mark.slow
def test_later_rounds_lie_nearer_to_the_best_rate_and_seldom_where_trials_diverged() -> None:
    distances, diverged = [], []
    for seed in range(4):
        [plan] = plans(80, 1, seed)
        rounds = whole_pack(plan, seed)
        rates = [np.log10([spec.setting.learning_rate for spec in specs]) for specs in rounds]
        distances.append([np.abs(of_round + 2).mean() for of_round in rates])
        diverged.append([(of_round >= -1).mean() for of_round in rates])
    first, *_, last = np.mean(distances, axis=0)
    assert last < 0.5 * first
    assert np.mean(diverged, axis=0)[-1] < 0.5 * np.mean(diverged, axis=0)[0]


def test_a_plan_of_another_method_has_nothing_to_draw() -> None:
    [plan] = plans(20, 1)
    done = plan.model_copy(update={"to_draw": 0})
    assert draw_next_round(done, [trained(spec) for spec in plan.trials], 0) == []


def test_rounds_are_a_quarter_but_at_least_four() -> None:
    assert [round_size(trials) for trials in (1, 3, 4, 5, 16, 17, 100)] == [1, 3, 4, 4, 4, 5, 25]


def test_every_status_may_come_back() -> None:
    [plan] = plans(40, 1)
    statuses = ["ok", "stopped", "diverged", "out_of_memory", "error"]
    results = [
        trained(spec).model_copy(update={"status": status})
        for spec, status in zip(plan.trials, 2 * statuses, strict=True)
    ]
    assert [spec.number for spec in draw_next_round(plan, results, 0)] == list(range(10, 20))


def test_a_range_with_every_kind_of_value_can_be_drawn_from() -> None:
    searched = SearchRange(
        learning_rate=(1e-3, 1e-1),
        weight_decay=(1e-6, 1e-3),
        ranges={"momentum": (0.8, 0.99)},
        choices={"batch_size": [32, 64], "init": ["he"]},
        reasons=[],
    )
    [plan] = plans(40, 1)
    known = {"momentum": 0.9, "batch_size": 64, "init": "he", "weight_decay": 1e-5}
    results = [made_up_result(n, n / 20, learning_rate=10 ** (-3 + n / 10), **known) for n in range(len(plan.trials))]
    drawn = draw_next_round(plan.model_copy(update={"search_range": searched}), results, 0)
    assert len(drawn) == 10
    assert all(0.8 <= (spec.setting.momentum or 0) <= 0.99 and spec.setting.init == "he" for spec in drawn)
