"""A training between two epochs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class TrainingState:
    """Where a training goes on as if it had never stopped.

    ``weights``: the network's parameters and buffers by name. ``slots``: as ``optimizer_slots`` gives them.
    ``averaged``: the values of the classifier whose weights are averaged, by name; empty without one.
    """

    epochs: int
    steps: int
    weights: Mapping[str, Tensor]
    slots: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    averaged: Mapping[str, Tensor] = field(default_factory=dict)


def copies(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values in memory of their own."""
    return {name: value.detach().clone() for name, value in values.items()}
