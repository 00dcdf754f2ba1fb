"""Plan a stage: draw the trials and deal them into packs."""

from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution

from components.foundation.artifacts import CheckReport
from components.foundation.run_folder import read_trials
from components.foundation.seeds import derive_seed
from components.foundation.step_log import Say
from components.foundation.training_artifacts import PackPlan, Ranking, SearchRange, Stage, TrialSetting, TrialSpec
from components.foundation.training_settings import SearchSettings
from components.hyperparameter_search.search_range import coarse_range, fine_range


def plan_stage(
    stage: Stage, search: SearchSettings, checks: CheckReport, previous: Ranking | None, seed: int, say: Say
) -> list[PackPlan]:
    """Draw the trials of a stage at random in log space and deal them into packs.

    Args:
        stage: ``coarse`` or ``fine``.
        search: trials, epochs, ranges and packs.
        checks: its learning-rate band is the coarse range when the user gave none.
        previous: the ranking that the ranges come from; without one they are the coarse ranges.
        seed: of the run.
        say: prints a line.

    Raises:
        RunFailedError: when there is no range to search.
    """
    settings = search.coarse if stage == "coarse" else search.fine
    if previous is None:
        searched = coarse_range(search.coarse, checks.learning_rate_band)
    else:
        searched = fine_range(previous.search_range, read_trials(previous.pack_uris))
    for reason in searched.reasons:
        say(reason)
    drawn = draw_settings(searched, settings.trials, derive_seed(seed, stage))
    trials = [
        TrialSpec(number=number, setting=setting, epochs=settings.epochs, seed=derive_seed(seed, stage, number))
        for number, setting in enumerate(drawn)
    ]
    plans = deal(stage, searched, trials, search.packs)
    say(f"{len(trials)} trials of {settings.epochs} epochs in {len(plans)} packs")
    return plans


def draw_settings(searched: SearchRange, trials: int, seed: int) -> list[TrialSetting]:
    """Independent draws, uniform in the logarithm, by optuna's random sampler."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed % 2**32))
    distributions: dict[str, BaseDistribution] = {
        "learning_rate": FloatDistribution(*searched.learning_rate, log=True),
        "weight_decay": FloatDistribution(*searched.weight_decay, log=True),
    }
    return [TrialSetting.model_validate(study.ask(distributions).params) for _ in range(trials)]


def deal(stage: Stage, searched: SearchRange, trials: Sequence[TrialSpec], packs: int) -> list[PackPlan]:
    """Deal trials to packs like cards, so that packs differ by at most one; no pack is empty."""
    packs = min(packs, len(trials))
    return [
        PackPlan(
            stage=stage,
            pack=pack,
            packs=packs,
            trials_in_stage=len(trials),
            search_range=searched,
            trials=list(trials[pack::packs]),
        )
        for pack in range(packs)
    ]
