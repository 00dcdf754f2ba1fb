"""The search as an optuna study: its space, and the trials that are known."""

from collections.abc import Iterable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler

from sanefit.components.foundation.schemas.search import SearchRange, TrialResult, TrialSetting
from sanefit.components.foundation.schemas.searchable import SEARCHABLE, Value
from sanefit.components.foundation.schemas.training import Metric
from sanefit.components.hyperparameter_search.finished_trials import worth


def search_space(searched: SearchRange) -> dict[str, BaseDistribution]:
    """The distribution of every searched value: rate and weight decay first."""
    return {
        "learning_rate": FloatDistribution(*searched.learning_rate, log=True),
        "weight_decay": FloatDistribution(*searched.weight_decay, log=True),
        **{
            name: FloatDistribution(*bounds, log=SEARCHABLE[name].scale == "log")
            for name, bounds in searched.ranges.items()
        },
        **{name: CategoricalDistribution(choices) for name, choices in searched.choices.items()},
    }


def new_study(sampler: BaseSampler | None = None) -> optuna.Study:
    """A study that maximizes, kept in memory, that prints nothing."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(direction="maximize", sampler=sampler)


def add_results(
    study: optuna.Study, space: dict[str, BaseDistribution], results: Iterable[TrialResult], metric: Metric
) -> int:
    """Add what trials gave; how many were added.

    One that diverged or ran out of memory is worth nothing, so that no more are drawn near it. One that raised says
    nothing of its setting, and one whose setting lies outside the space cannot be in the study: both are left out.

    Args:
        study: takes the trials.
        space: of the study.
        results: added in this order.
        metric: what they are worth.
    """
    told = [result for result in results if result.status != "error" and _inside(space, result.spec.setting)]
    for result in told:
        params = {name: result.spec.setting.searched[name] for name in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=worth(result, metric)))
    return len(told)


def ask(study: optuna.Study, space: dict[str, BaseDistribution], trials: int) -> list[dict[str, Any]]:
    """Values by name that the study's sampler draws, trial by trial, before any of them has run."""
    return [study.ask(space).params for _ in range(trials)]


def _inside(space: dict[str, BaseDistribution], setting: TrialSetting) -> bool:
    values = setting.searched
    return all(name in values and _holds(distribution, values[name]) for name, distribution in space.items())


def _holds(distribution: BaseDistribution, value: Value) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution)
    return distribution.low <= float(value) <= distribution.high
