from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from said import Said
from trial_results import made_up_result

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.networks import ConvNetSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import (
    CoarseSettings,
    FineSettings,
    PackPlan,
    PackResult,
    Ranking,
    SearchRange,
    SearchSettings,
    Stage,
    TrialSpec,
)
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.storage.packs import store_pack_result
from sanefit.components.foundation.storage.results import store_result
from sanefit.components.foundation.training.stacks.stack_key import stack_key
from sanefit.components.hyperparameter_search.plan.drawing import draw_random
from sanefit.components.hyperparameter_search.plan.trial_plan import (
    PreviousStage,
    draw,
    first_rounds,
    for_packs,
    plan_stage,
    read_previous_stage,
)

RANGE = SearchRange(learning_rate=(1e-4, 3e-1), weight_decay=(1e-6, 1e2), reasons=["a reason"])
BAND = (0.01, 0.2)
NETWORK = ConvNetSettings(kind="convnet", channels=(8, 16))
OPTIMIZER = OptimizerSettings()
SEARCH = SearchSettings(
    packs=3,
    coarse=CoarseSettings(trials=10, epochs=2, weight_decay=(1e-5, 1e-1)),
    fine=FineSettings(trials=4, epochs=7),
)
METHODS = ("random", "grid", "quasi_random", "tpe")


def planned(
    search: SearchSettings,
    stage: Stage = "coarse",
    previous: PreviousStage | None = None,
    seed: int = 0,
    said: Said | None = None,
    folds: int = 1,
) -> list[PackPlan]:
    # Not `or`: a Said that is empty is false.
    return plan_stage(
        stage,
        search.model_copy(update={"folds": folds}),
        NETWORK,
        OPTIMIZER,
        BAND,
        previous,
        seed=seed,
        say=Said() if said is None else said,
    )


def in_order(plans: list[PackPlan]) -> list[TrialSpec]:
    return sorted((trial for plan in plans for trial in plan.trials), key=lambda trial: trial.number)


def coarse_stage(folder: Path, accuracies: list[float], step: float = 0.1) -> PreviousStage:
    """Trials ever lower in rate, by so many decades, and ever higher in decay."""
    results = [
        made_up_result(n, accuracy, learning_rate=10 ** (-1 - n * step), weight_decay=10 ** (-4 + n * step))
        for n, accuracy in enumerate(accuracies)
    ]
    run = RunReference(run_name="run", storage=str(folder), tracking_uri="", tracking_run_id="")
    texts = [
        store_pack_result(run, pack, PackResult(stage="coarse", search_range=RANGE, results=results[pack::2]))
        for pack in range(2)
    ]
    best = max(results, key=lambda result: result.validation_accuracy)
    ranking = Ranking(
        stage="coarse",
        search_range=RANGE,
        best=best.spec.setting,
        best_trial=best.spec.number,
        best_validation_accuracy=best.validation_accuracy,
        trials=len(results),
        diverged=0,
        packs=texts,
    )
    previous = read_previous_stage(run, store_result(str(folder / "ranking.json"), ranking))
    assert previous is not None
    return previous


def test_the_first_stage_has_none_before_it() -> None:
    run = RunReference(run_name="run", storage="/nowhere", tracking_uri="", tracking_run_id="")
    assert read_previous_stage(run, "") is None


def test_the_coarse_stage_searches_the_probes_band(said: Said) -> None:
    plans = planned(SEARCH, said=said)
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
    assert said[:-1] == plans[0].search_range.reasons
    assert said[-2] == "10 trials drawn at random, each by itself"


def test_random_draws_are_those_of_the_stages_seed() -> None:
    band = SearchRange(learning_rate=(0.01, 0.2), weight_decay=(1e-5, 1e-1), reasons=[])
    drawn = draw_random(band, 10, derive_seed(5, "coarse"))
    assert [trial.setting for trial in in_order(planned(SEARCH, seed=5))] == drawn


def test_the_coarse_stage_has_no_range_without_a_band(said: Said) -> None:
    with pytest.raises(RunFailedError):
        plan_stage("coarse", SEARCH.model_copy(update={"folds": 1}), NETWORK, OPTIMIZER, None, None, seed=0, say=said)


def test_the_fine_stage_searches_where_the_best_coarse_trials_were(tmp_path: Path, said: Said) -> None:
    previous = coarse_stage(tmp_path, [0.5 + n / 100 for n in range(15)])  # the best three are 12, 13, 14
    plans = planned(SEARCH, "fine", previous, said=said)
    trials = in_order(plans)
    # They span 0.2 decades, so both ranges become half a decade around trial 13.
    assert plans[0].search_range.learning_rate == pytest.approx((10**-2.55, 10**-2.05))
    assert plans[0].search_range.weight_decay == pytest.approx((10**-2.95, 10**-2.45))
    assert {plan.stage for plan in plans} == {"fine"}
    assert [(trial.number, trial.epochs) for trial in trials] == [(n, 7) for n in range(4)]
    [best] = [result.spec for result in previous.results if result.spec.number == 14]
    assert (trials[-1].setting, trials[-1].seed) == (best.setting, best.seed)
    assert said[-2] == "the best coarse trial, 14, is trained again among them"
    for trial in trials:
        assert 10**-2.55 <= trial.setting.learning_rate <= 10**-2.05
    assert said[:-1] == plans[0].search_range.reasons


@pytest.mark.parametrize("method", METHODS)
def test_the_best_coarse_trial_takes_the_place_of_the_last_drawn_one_but_of_no_point_of_a_grid(
    method: str, tmp_path: Path
) -> None:
    search = SEARCH.model_copy(update={"method": method, "fine": FineSettings(trials=9)})
    previous = coarse_stage(tmp_path, [0.1, 0.2, 0.9, 0.4, 0.5, 0.6])
    plans = planned(search, "fine", previous)
    trials = in_order(plans)
    [best] = [result.spec for result in previous.results if result.validation_accuracy == 0.9]
    assert trials[-1].setting == best.setting
    assert [trial.number for trial in trials] == list(range(len(trials)))
    drawn, _ = draw(search, plans[0].search_range, previous.results, 9, derive_seed(0, "fine"))
    assert [trial.setting for trial in trials[:-1]] == (drawn if method == "grid" else drawn[:-1])
    assert plans[0].trials_in_stage == (10 if method == "grid" else 9)


def test_stages_seeds_and_trials_all_have_their_own_draws_and_weights() -> None:
    search = SEARCH.model_copy(update={"fine": FineSettings(trials=10)})
    stages: tuple[Stage, ...] = ("coarse", "fine")
    plans = {(stage, seed): planned(search, stage, seed=seed) for stage in stages for seed in (0, 1)}
    trials = [trial for plan in plans.values() for trial in in_order(plan)]
    assert len({trial.seed for trial in trials}) == 40
    assert len({trial.setting.learning_rate for trial in trials}) == 40
    assert planned(search, seed=1) == plans["coarse", 1]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    method=st.sampled_from(METHODS),
    trials=st.integers(1, 60),
    packs=st.integers(1, 8),
    widths=st.lists(st.sampled_from([4, 8, 16]), unique=True, max_size=3),
    sizes=st.lists(st.sampled_from([32, 64]), unique=True, max_size=2),
    dropout=st.sampled_from([None, (0.0, 0.5)]),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_trial_is_in_one_pack_and_a_pack_is_of_one_kind_where_there_are_packs_enough(
    method: str,
    trials: int,
    packs: int,
    widths: list[int],
    sizes: list[int],
    dropout: tuple[float, float] | None,
    seed: int,
) -> None:
    coarse = CoarseSettings(trials=trials, width=tuple(widths), batch_size=tuple(sizes), dropout=dropout)
    assume(method != "grid" or max(1, len(widths)) * max(1, len(sizes)) <= trials)
    search = SearchSettings.model_validate(
        {"method": method, "packs": packs, "coarse": coarse, "reduction_factor": 4, "networks_at_once": 5}
    )
    said = Said()
    plans = planned(search, seed=seed, said=said, folds=3)
    assert planned(search, seed=seed, folds=3) == plans
    specs = in_order(plans)
    assert all(plan.trials for plan in plans)
    assert [spec.number for spec in specs] == list(range(len(specs)))
    in_stage = plans[0].trials_in_stage
    drawn_later = [plan.first_drawn + plan.packs * n for plan in plans for n in range(plan.to_draw)]
    assert sorted([*(spec.number for spec in specs), *drawn_later]) == list(range(in_stage))
    assert in_stage == trials if method != "grid" else in_stage <= trials
    for place, plan in enumerate(plans):
        assert (plan.pack, plan.packs, plan.stage, plan.trials_in_stage) == (place, len(plans), "coarse", in_stage)
        assert (plan.folds, plan.reduction_factor, plan.engine, plan.networks_at_once) == (3, 4, "fastest", 5)
        assert plan.search_range == plans[0].search_range
        if method != "tpe":
            assert plan.to_draw == 0
            kinds = {stack_key(NETWORK, OPTIMIZER, spec.setting) for spec in specs}
            in_pack = {stack_key(NETWORK, OPTIMIZER, spec.setting) for spec in plan.trials}
            assert len(in_pack) == 1 or len(kinds) > packs
    assert len(plans) == min(packs, in_stage)
    if method == "tpe":
        assert len(specs) == first_rounds(trials, packs)
    for spec in specs:
        assert spec.seed == derive_seed(seed, "coarse", spec.number)
        setting = spec.setting
        assert 0.01 <= setting.learning_rate <= 0.2
        assert setting.width in (widths or [None])
        assert setting.batch_size in (sizes or [None])
        assert (setting.dropout is None) == (dropout is None)


def test_one_pack_holds_both_of_two_widths(said: Said) -> None:
    search = SEARCH.model_copy(
        update={"packs": 1, "coarse": SEARCH.coarse.model_copy(update={"width": (4, 8), "trials": 20})}
    )
    plans = planned(search, said=said)
    assert [len({trial.setting.width for trial in plan.trials}) for plan in plans] == [2]
    assert said[-1] == "20 trials of 2 epochs in 1 pack"


@pytest.mark.parametrize(
    ("packs", "tasks", "warned"), [(2, 2, False), (40, 10, False), (2, 3, True), (40, 9, True), (1, 2, True)]
)
def test_there_are_as_many_packs_as_the_pipeline_has_tasks(packs: int, tasks: int, warned: bool, said: Said) -> None:
    """A clone of a run may ask for others, or for fewer trials."""
    settings = for_packs(SEARCH.model_copy(update={"packs": packs}), "coarse", tasks, said)
    assert [len(said) == 1, len(said) == 0] == [warned, not warned]
    assert all(f"warning: {tasks} packs, for which this pipeline was compiled" in line for line in said)
    assert len(planned(settings)) == min(tasks, 10)


@pytest.mark.parametrize(
    ("coarse", "how"),
    [
        (40, "at random, for TPE needs 10 results and has 8 of the stage before"),
        (80, "by TPE from 16 of the stage before"),
    ],
)
def test_the_fine_round_of_tpe_is_drawn_from_the_coarse_results_inside_its_range(
    coarse: int, how: str, tmp_path: Path, said: Said
) -> None:
    # The best fifth lie around the middle trial and span the fine range, so that it holds these and no others.
    middle = coarse // 2 - 0.4
    previous = coarse_stage(tmp_path, [0.9 - 0.01 * abs(n - middle) for n in range(coarse)], step=3 / coarse)
    search = SEARCH.model_copy(update={"method": "tpe", "fine": FineSettings(trials=40)})
    plans = planned(search, "fine", previous, said=said)
    trials = in_order(plans)
    assert len(trials) == 12
    assert said[-3] == f"12 of 40 trials drawn {how}, 28 to be drawn by the packs from their own"
    fine = plans[0].search_range
    for trial in trials:
        assert fine.learning_rate[0] <= trial.setting.learning_rate <= fine.learning_rate[1]
    assert len({trial.setting.learning_rate for trial in trials}) == 12


def test_what_the_coarse_stage_found_changes_what_tpe_draws(tmp_path: Path) -> None:
    """The same fine range, but other trials are good in it."""
    search = SEARCH.model_copy(update={"method": "tpe", "fine": FineSettings(trials=40)})
    flat = [0.9 if 5 <= n < 35 else 0.0 for n in range(40)]
    rates = []
    for good in (range(8, 14), range(26, 32)):
        accuracies = [0.99 if n in (5, 34) else accuracy + 0.05 * (n in good) for n, accuracy in enumerate(flat)]
        folder = tmp_path / str(good.start)
        previous = coarse_stage(folder, accuracies)
        trials = in_order(planned(search, "fine", previous))
        rates.append(sum(trial.setting.learning_rate < 10**-2.95 for trial in trials))
    assert rates[0] < rates[1]


def test_the_metric_goes_with_the_ranges_of_both_stages(tmp_path: Path) -> None:
    by_loss = SEARCH.model_copy(update={"metric": "loss"})
    assert {plan.search_range.metric for plan in planned(by_loss)} == {"loss"}
    previous = coarse_stage(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert {plan.search_range.metric for plan in planned(by_loss, "fine", previous)} == {"loss"}
