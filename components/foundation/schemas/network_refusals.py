"""What a network cannot do, in words for the user."""

from collections.abc import Callable
from typing import get_args

from sanefit.components.foundation.schemas.network_kind import Network
from sanefit.components.foundation.schemas.networks import NETWORKS, NetworkSettings


def why_not_searched(network: NetworkSettings, name: str, value: object) -> str:
    """Why a trial of this network cannot have this value of the search, in one line; empty when it can."""
    if not network.can_search(name):
        return (
            f"search.coarse.{name}: a network of kind {network.kind!r} has no {name} to search; expected "
            f"{kinds_of_network(lambda kind: kind.can_search(name))}; remove it"
        )
    if name == "init" and network.weights_uri:
        return "search.coarse.init: network.weights replaces the initial weights; remove one of the two"
    if name == "depth" and network.deepest and isinstance(value, int) and value > network.deepest[0]:
        most, parts = network.deepest
        return (
            f"search.coarse.depth: a {network.kind} has at most {most} {parts}, got {value}; list no more than {most}"
        )
    return ""


def why_not_stacked(network: NetworkSettings) -> str:
    """Why ``search.engine=stacked`` cannot train this network, in one line; empty when it can."""
    if network.is_stacked:
        return ""
    return (
        f"search.engine=stacked: there is no stack for a network of kind {network.kind!r}; expected "
        f"{kinds_of_network(lambda kind: kind.is_stacked)}; set search.engine=vmapped, loop or fastest"
    )


def kinds_of_network(wanted: Callable[[type[Network]], bool] = lambda _: True) -> str:
    """Kinds of network in a sentence: ``mlp, convnet or resnet``."""
    *others, last = [get_args(kind.model_fields["kind"].annotation)[0] for kind in NETWORKS if wanted(kind)]
    return f"{', '.join(others)} or {last}" if others else last
