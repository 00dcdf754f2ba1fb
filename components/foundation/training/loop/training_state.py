"""A training between two steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class BegunEpoch:
    """An epoch that was left before its end.

    ``batches``: behind it. ``counted``: float64 (processes, 3), the sums of losses, right answers and images of each.
    ``scales``: 0-dimensional, by name, of weights that are still to be multiplied by them.
    """

    batches: int
    counted: Tensor
    scales: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingState:
    """Where a training goes on as if it had never stopped.

    ``epochs``: whole ones; ``steps``: all. ``weights``: the network's parameters and buffers by name. ``slots``: as
    ``optimizer_slots`` gives them. ``averaged``: the values of the classifier whose weights are averaged, by name;
    empty without one. ``begun``: the epoch after these; None between two. ``taken``: steps that the optimizer counts,
    where it does and they may be fewer. ``scaling``: of the loss, as ``GradScaler`` has it; empty without one.
    """

    epochs: int
    steps: int
    weights: Mapping[str, Tensor]
    slots: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    averaged: Mapping[str, Tensor] = field(default_factory=dict)
    begun: BegunEpoch | None = None
    taken: int | None = None
    scaling: Mapping[str, float] = field(default_factory=dict)


def settled(state: TrainingState) -> TrainingState:
    """The same state with its scales multiplied into the weights."""
    if state.begun is None or not state.begun.scales:
        return state
    scaled = {name: state.weights[name] * scale for name, scale in state.begun.scales.items()}
    return replace(state, weights={**state.weights, **scaled}, begun=replace(state.begun, scales={}))


def copies(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values in memory of their own."""
    return {name: value.detach().clone() for name, value in values.items()}
