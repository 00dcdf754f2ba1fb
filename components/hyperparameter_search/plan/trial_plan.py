"""Plan a stage: draw the trials and deal them into packs."""

from collections.abc import Sequence
from dataclasses import dataclass

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import (
    PackPlan,
    Ranking,
    SearchRange,
    SearchSettings,
    Stage,
    TrialResult,
    TrialSetting,
    TrialSpec,
)
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage.packs import load_pack_results, trials_of
from sanefit.components.foundation.storage.results import load_result
from sanefit.components.foundation.training.stacks.stack_key import stack_key
from sanefit.components.hyperparameter_search.finished_trials import best_first
from sanefit.components.hyperparameter_search.plan.dealing import deal, deal_by_key
from sanefit.components.hyperparameter_search.plan.drawing import STARTUP, draw_quasi_random, draw_random, draw_tpe
from sanefit.components.hyperparameter_search.plan.grid import draw_grid
from sanefit.components.hyperparameter_search.plan.next_round import round_size
from sanefit.components.hyperparameter_search.plan.search_range import coarse_range, fine_range


@dataclass(frozen=True)
class PreviousStage:
    """What was searched before, and every trial of it."""

    search_range: SearchRange
    results: list[TrialResult]


def read_previous_stage(run: RunReference, ranking: str) -> PreviousStage | None:
    """From a reference to its ranking; None for the first stage, whose ``ranking`` is empty.

    Raises:
        StorageError: when the ranking or a pack's results cannot be read.
    """
    if not ranking:
        return None
    known = load_result(Ranking, ranking)
    return PreviousStage(known.search_range, trials_of(load_pack_results(run, known.stage, known.packs)))


def for_packs(search: SearchSettings, stage: Stage, packs: int, say: Say) -> SearchSettings:
    """The settings of a stage whose packs are tasks of a pipeline that is compiled: so many are there.

    Args:
        search: as the run was given them.
        stage: ``coarse`` or ``fine``.
        packs: tasks of the stage.
        say: warns when the settings ask for another number, as in a clone of a run that was edited.
    """
    asked = search.packs_of(stage)
    if asked != packs:
        say(
            f"warning: {packs} packs, for which this pipeline was compiled, and not {asked}, which search.packs="
            f"{search.packs} asks for; submit the configuration anew to change it"
        )
    return search.model_copy(update={"packs": packs})


def plan_stage(
    stage: Stage,
    search: SearchSettings,
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    band: tuple[float, float] | None,
    previous: PreviousStage | None,
    seed: int,
    say: Say,
) -> list[PackPlan]:
    """Draw the trials of a stage and deal them into packs.

    The last trial of a fine stage is the best one of the stage before, with its seed: what was found is not lost.

    With ``search.method=tpe`` the plans hold the first round alone, and the packs draw the others. With the other
    methods a pack holds one kind of network and batch where there are packs enough, to train its trials as one stack.

    Args:
        stage: ``coarse`` or ``fine``.
        search: method, trials, epochs, ranges and packs; its folds are settled.
        network, optimizer: of the run; they hold what a trial does not search.
        band: of learning rates, from the probe: the coarse range when the user gave none.
        previous: the stage that the ranges come from; without one they are the coarse ranges.
        seed: of the run.
        say: prints a line.

    Raises:
        RunFailedError: when there is no range to search.
        SettingsError: when a grid has more points than the stage has trials.
    """
    assert search.folds != "auto"
    settings = search.coarse if stage == "coarse" else search.fine
    results = previous.results if previous else []
    searched = fine_range(previous.search_range, results) if previous else coarse_range(search.coarse, band)
    searched = searched.model_copy(update={"metric": search.metric})
    drawn, how = draw(search, searched, results, settings.trials, derive_seed(seed, stage))
    best = best_first(results, search.metric)[0].spec if previous else None
    again = [f"the best coarse trial, {best.number}, is trained again among them"] if best else []
    searched = searched.model_copy(update={"reasons": [*searched.reasons, how, *again]})
    trials = [
        TrialSpec(number=number, setting=setting, epochs=settings.epochs, seed=derive_seed(seed, stage, number))
        for number, setting in enumerate(drawn)
    ]
    if best:
        kept = trials if search.method == "grid" else trials[:-1]  # a grid loses no point
        trials = [*kept, best.model_copy(update={"number": len(kept), "epochs": settings.epochs})]
    in_stage = settings.trials if search.method == "tpe" else len(trials)
    packs = (
        deal(trials, min(search.packs, in_stage))
        if search.method == "tpe"
        else deal_by_key(trials, search.packs, lambda trial: stack_key(network, optimizer, trial.setting))
    )
    for line in searched.reasons:
        say(line)
    say(f"{in_stage} trials of {settings.epochs} epochs in {len(packs)} pack{'s' if len(packs) > 1 else ''}")
    return [
        PackPlan(
            stage=stage,
            pack=pack,
            packs=len(packs),
            trials_in_stage=in_stage,
            search_range=searched,
            trials=dealt,
            to_draw=len(range(len(trials) + pack, in_stage, len(packs))),
            first_drawn=len(trials) + pack,
            folds=search.folds,
            reduction_factor=search.reduction_factor,
            engine=search.engine,
            networks_at_once=search.networks_at_once,
        )
        for pack, dealt in enumerate(packs)
    ]


def draw(
    search: SearchSettings, searched: SearchRange, results: Sequence[TrialResult], trials: int, seed: int
) -> tuple[list[TrialSetting], str]:
    """The settings that are known before the stage starts, and how they were drawn, in words.

    Args:
        search: method and packs.
        searched: bounds and choices.
        results: of the stage before; ``tpe`` draws by them.
        trials: of the stage.
        seed: of the draws.
    """
    match search.method:
        case "random":
            return draw_random(searched, trials, seed), f"{trials} trials drawn at random, each by itself"
        case "quasi_random":
            return draw_quasi_random(searched, trials, seed), f"{trials} trials from a scrambled Sobol sequence"
        case "grid":
            return draw_grid(searched, trials, seed)
        case "tpe":
            first = first_rounds(trials, search.packs)
            drawn, known = draw_tpe(searched, results, first, seed)
            how = "by TPE from" if known >= STARTUP else f"at random, for TPE needs {STARTUP} results and has"
            return drawn, (
                f"{first} of {trials} trials drawn {how} {known} of the stage before, {trials - first} to be drawn by "
                "the packs from their own"
            )


def first_rounds(trials: int, packs: int) -> int:
    """Trials in the first rounds of all packs, when the stage's trials are dealt evenly."""
    packs = min(packs, trials)
    return sum(round_size(len(range(pack, trials, packs))) for pack in range(packs))
