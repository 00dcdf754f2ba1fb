"""What the final model is made of: the best setting, or the best few, each with seeds of its own."""

from dataclasses import dataclass

from components.foundation.seeds import derive_seed
from components.foundation.settings import NetworkSettings
from components.foundation.step_log import Say
from components.foundation.training.recipe import recipe_of
from components.foundation.training.resolved_settings import resolve_network, resolve_optimizer
from components.foundation.training.trial_engine.trial import Trial
from components.foundation.training_artifacts import Ranking, TrialSetting
from components.foundation.training_settings import FinalTrainingSettings, OptimizerSettings


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
    others = [setting for setting in ranking.top if setting != ranking.best]
    settings = [ranking.best, *others][: final.ensemble]
    if len(settings) < final.ensemble:
        say(f"warning: final.ensemble={final.ensemble}, but the search has {len(settings)} settings: so many members")
    return [_member(network, optimizer, final, setting, seed, number) for number, setting in enumerate(settings)]


def _member(
    network: NetworkSettings,
    optimizer: OptimizerSettings,
    final: FinalTrainingSettings,
    setting: TrialSetting,
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
    return Member(setting, Trial(resolve_network(network, setting), recipe, derive_seed(seed, "final", *own)))
