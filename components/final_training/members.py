"""What the final model is made of: the best setting, or the best few, each with seeds of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import Ranking, TrialSetting
from sanefit.components.foundation.schemas.training import Metric, OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.recipe import recipe_of
from sanefit.components.foundation.training.resolved_settings import resolve_network, resolve_optimizer
from sanefit.components.foundation.training.stacks.trial import Trial


@dataclass(frozen=True)
class Member:
    """A network of the final model. ``trial``: all of its settings; ``setting``: those of them that were searched."""

    setting: TrialSetting
    trial: Trial


def plan_members(
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    ranking: Ranking,
    seed: int,
    say: Say,
) -> list[Member]:
    """One member for each of the best settings, the best first.

    Args:
        network, optimizer, final: as the configuration has them.
        ranking: of the fine stage.
        seed: of the run.
        say: prints a line when there are fewer settings than members wanted.

    Raises:
        SettingsError: when this network has no value that was searched.
    """
    metric = ranking.search_range.metric
    others = [setting for setting in ranking.top if setting != ranking.best]
    settings = [ranking.best, *others][: final.ensemble]
    if len(settings) < final.ensemble:
        say(f"warning: final.ensemble={final.ensemble}, but the search has {len(settings)} settings: one each")
    return [
        _member(network, optimizer, final, setting, metric, seed, number) for number, setting in enumerate(settings)
    ]


def _member(
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    setting: TrialSetting,
    metric: Metric,
    seed: int,
    number: int,
) -> Member:
    own = [number] if number else []
    recipe = recipe_of(
        resolve_optimizer(optimizer, setting),
        learning_rate=setting.learning_rate,
        weight_decay=setting.weight_decay,
        epochs=final.epochs,
        batch_seed=derive_seed(seed, "final batches", *own),
        noise_seed=derive_seed(seed, "final batches", *own),
    )
    recipe = replace(recipe, kept_by=metric)
    return Member(setting, Trial(resolve_network(network, setting), recipe, derive_seed(seed, "final", *own)))


def judging(members: Sequence[Member], judged: int | None) -> list[Member]:
    """The same, each measuring the recall of this class after every epoch."""
    return [
        replace(member, trial=replace(member.trial, recipe=replace(member.trial.recipe, judged_class=judged)))
        for member in members
    ]
