"""What a search cannot honor, found before anything runs."""

import math
from typing import get_args

from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    ModuleSettings,
    NetworkSettings,
    ResNetSettings,
    TorchvisionSettings,
    has_setting,
    has_stack,
)
from sanefit.components.foundation.schemas.search import ChoiceName, SearchSettings

DEEPEST: dict[type, tuple[int, str]] = {ConvNetSettings: (8, "blocks"), ResNetSettings: (50, "blocks in each stage")}


def check_search(search: SearchSettings, network: NetworkSettings) -> None:
    """Raise ValueError, one line, for what the network has not, for what means nothing, and for a grid too large."""
    _check_engine(search, network)
    _check_network(search, network)
    _check_depth(search, network)
    if search.coarse.init and isinstance(network, TorchvisionSettings | ModuleSettings) and network.weights:
        raise ValueError("search.coarse.init: network.weights replaces the initial weights; remove one of the two")
    if search.method == "grid":
        _check_grid(search)
    if search.reduction_factor > 1 and max(search.coarse.epochs, search.fine.epochs) == 1:
        raise ValueError(
            f"search.reduction_factor={search.reduction_factor}: trials of 1 epoch cannot be stopped early; raise "
            "search.coarse.epochs or search.fine.epochs, or set search.reduction_factor=1"
        )


def _check_engine(search: SearchSettings, network: NetworkSettings) -> None:
    if search.engine == "stacked" and not has_stack(network):
        raise ValueError(
            f"search.engine=stacked: there is no stack for a network of kind {network.kind!r}; expected two_layer, mlp "
            "or convnet; set search.engine=vmapped, loop or fastest"
        )
    if search.engine == "loop" and search.networks_at_once > 1:
        raise ValueError(
            f"search.networks_at_once={search.networks_at_once}: search.engine=loop trains one network after another; "
            "remove it, or choose another engine"
        )


def _check_network(search: SearchSettings, network: NetworkSettings) -> None:
    for name in ("dropout", "width", "depth"):
        if getattr(search.coarse, name) and not has_setting(network, name):
            raise ValueError(
                f"search.coarse.{name}: a network of kind {network.kind!r} has no {name} to search; expected "
                f"{'mlp, convnet or resnet' if name == 'depth' else 'a network of our own'}; remove it"
            )


def _check_depth(search: SearchSettings, network: NetworkSettings) -> None:
    most, parts = DEEPEST.get(type(network), (math.inf, ""))
    deepest = max(search.coarse.depth, default=0)
    if deepest > most:
        raise ValueError(
            f"search.coarse.depth: a {network.kind} has at most {most} {parts}, got {deepest}; list no more than {most}"
        )


def _check_grid(search: SearchSettings) -> None:
    combinations = math.prod(len(getattr(search.coarse, name)) or 1 for name in get_args(ChoiceName))
    for stage, trials in (("coarse", search.coarse.trials), ("fine", search.fine.trials)):
        if combinations > trials:
            raise ValueError(
                f"search.method=grid: the choices listed in search.coarse make {combinations} combinations, more than "
                f"search.{stage}.trials={trials}; raise it, or list fewer choices"
            )
