"""A trial's network and optimizer: the configuration's, with the values that the trial searches in their place."""

from typing import Any, TypeVar

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.bases import Settings
from sanefit.components.foundation.schemas.network_refusals import why_not_searched
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.searchable import SEARCHABLE
from sanefit.components.foundation.schemas.training import OptimizerSettings

SearchedSettings = TypeVar("SearchedSettings", bound=Settings)


def resolve_optimizer(optimizer: OptimizerSettings, setting: TrialSetting) -> OptimizerSettings:
    """The optimizer of a trial."""
    return _with(optimizer, {SEARCHABLE[name].replaces: value for name, value in setting.of("optimizer").items()})


def resolve_network(network: NetworkSettings, setting: TrialSetting) -> NetworkSettings:
    """The network of a trial.

    Raises:
        SettingsError: when this kind of network cannot have one of the values.
    """
    searched = setting.of("network")
    for name, value in searched.items():
        if reason := why_not_searched(network, name, value):
            raise SettingsError(reason)
    return _with(network, network.fields_for(**searched))


def _with(settings: SearchedSettings, changes: dict[str, Any]) -> SearchedSettings:
    return type(settings).model_validate({**settings.model_dump(), **changes}) if changes else settings
