"""Which trials can be trained as one stack of networks."""

from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.resolved_settings import resolve_network, resolve_optimizer

StackKey = tuple[str, bool, str, int, str]


def stack_key(network: NetworkSettings, optimizer: OptimizerSettings, setting: TrialSetting) -> StackKey:
    """Equal for trials that differ in numbers alone: rate, decay, momentum, schedule, initial weights, dropout above 0.

    Args:
        network, optimizer: of the run.
        setting: the trial's own values.

    Returns:
        JSON of the network without its initial weights and dropout, whether it has dropout, kind of the optimizer,
        batch size, augmentation.

    Raises:
        SettingsError: when this kind of network has no value that the trial searches.
    """
    resolved = resolve_network(network, setting)
    trained = resolve_optimizer(optimizer, setting)
    return (
        resolved.model_dump_json(exclude={"init", "dropout"}),
        getattr(resolved, "dropout", 0.0) > 0,
        trained.kind,
        trained.batch_size,
        trained.augmentation,
    )
