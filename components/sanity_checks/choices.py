"""The networks and optimizers that a search would train, one choice at a time."""

from collections.abc import Iterator

from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import CoarseSettings, TrialSetting
from sanefit.components.foundation.schemas.searchable import Value
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.training.resolved_settings import resolve_network, resolve_optimizer

CHANGES_THE_NETWORK = ("init", "width", "depth", "dropout", "optimizer")  # or how it learns; the rest is data and pace
Trained = tuple[NetworkSettings, OptimizerSettings]


def first_choice(network: NetworkSettings, optimizer: OptimizerSettings, coarse: CoarseSettings) -> Trained:
    """With the first choice of everything that is searched."""
    return _resolved(network, optimizer, _first(coarse))


def other_choices(
    network: NetworkSettings, optimizer: OptimizerSettings, coarse: CoarseSettings
) -> Iterator[tuple[str, Trained]]:
    """Each other choice in turn, with what it is in words, as in ``init=xavier``."""
    first = _first(coarse)
    for name, values in _values(coarse).items():
        for value in values[1:]:
            yield f"{name}={value}", _resolved(network, optimizer, {**first, name: value})


def not_looked_at(coarse: CoarseSettings) -> tuple[str, ...]:
    """Names of what is searched beside."""
    return tuple(name for name in (*coarse.ranges, *coarse.choices) if name not in CHANGES_THE_NETWORK)


def _values(coarse: CoarseSettings) -> dict[str, list[Value]]:
    """Both ends of a range, all of a list."""
    given = {name: list(bounds) for name, bounds in coarse.ranges.items()} | coarse.choices
    return {name: list(given[name]) for name in CHANGES_THE_NETWORK if name in given}


def _first(coarse: CoarseSettings) -> dict[str, Value]:
    return {name: values[0] for name, values in _values(coarse).items()}


def _resolved(network: NetworkSettings, optimizer: OptimizerSettings, values: dict[str, Value]) -> Trained:
    setting = TrialSetting.model_validate({"learning_rate": 1.0, "weight_decay": 0.0, **values})
    return resolve_network(network, setting), resolve_optimizer(optimizer, setting)
