"""Which trials can be trained as one stack of networks."""

import json

from pydantic import JsonValue

from sanefit.components.foundation.schemas.bases import Settings
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.searchable import VALUES, Section
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.resolved_settings import resolve_network, resolve_optimizer

StackKey = str


def stack_key(network: NetworkSettings, optimizer: OptimizerSettings, setting: TrialSetting) -> StackKey:
    """Equal for trials that differ only in what a stack leaves to each of its networks: see ``Searchable.in_stack``.

    Args:
        network, optimizer: of the run.
        setting: the trial's own values.

    Returns:
        JSON of both sections without the values that are free.

    Raises:
        SettingsError: when this kind of network has no value that the trial searches.
    """
    trained = resolve_network(network, setting), resolve_optimizer(optimizer, setting)
    return json.dumps([_common(trained[0], "network"), _common(trained[1], "optimizer")])


def _common(settings: Settings, section: Section) -> dict[str, JsonValue]:
    common: dict[str, JsonValue] = settings.model_dump(mode="json")
    for value in VALUES:
        if value.section == section and value.replaces in common and value.in_stack != "equal":
            given = common.pop(value.replaces)
            if value.in_stack == "on_or_off":
                common[value.replaces] = bool(given)
    return common
