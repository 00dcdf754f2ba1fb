"""What a network stack is: T networks of one shape, whose weights lie in common tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.keyed_dropout import drop, step_key


@dataclass(frozen=True)
class OuterProduct:
    """The gradient of a first layer, not multiplied out: ``left @ right``.

    ``left``: (T * neurons, images), what comes back to the layer's outputs. ``right``: (images, inputs), what went in.
    """

    left: Tensor
    right: Tensor

    def dense(self, like: Tensor) -> Tensor:
        """Of the shape of ``like``, the layer's weights (T, neurons, inputs)."""
        return (self.left @ self.right).reshape(like.shape)


def by_neuron(per_network: Tensor, weight: Tensor) -> Tensor:
    """(T,) as (T * neurons, 1), for a first layer's weight (T, neurons, inputs)."""
    return per_network.repeat_interleave(weight.shape[1]).unsqueeze(1)


Gradient = Tensor | OuterProduct
# By the name of a weight: (T,), what lies in memory is to be multiplied by it.
Scales = Mapping[str, Tensor]


@dataclass
class StackedDropout:
    """The dropout of T networks. ``shares``: (T,). ``keys``: int64 (T, layers). ``step``: int64 scalar."""

    shares: Tensor
    keys: Tensor
    step: Tensor
    active: bool = field(init=False)

    def __post_init__(self) -> None:
        self.active = bool((self.shares > 0).any())

    def __call__(self, inputs: Tensor, layer: int) -> Tensor:
        """Float (T, images, values) after the dropout layer with this number."""
        if not self.active:
            return inputs
        shares = self.shares.reshape(-1, 1, 1)
        return drop(inputs, shares, step_key(self.keys[:, layer], self.step))

    def select(self, kept: Tensor) -> "StackedDropout":
        """Of the networks with these numbers."""
        return StackedDropout(self.shares[kept], self.keys[kept], self.step)


class StackedNetwork(Protocol):
    """T networks. ``weights``: parameters and buffers by name, each with T in front; they are changed in place."""

    weights: dict[str, Tensor]

    def losses_and_gradients(
        self, inputs: Tensor, labels: Tensor, dropout: StackedDropout, scales: Scales
    ) -> tuple[Tensor, Tensor, dict[str, Gradient]]:
        """In training mode: cross-entropies (T,), right answers (T,), and the gradient of each parameter.

        Args:
            inputs: float (images, channels, height, width), the same for all networks.
            labels: int64 (images,).
            dropout: of this step.
            scales: of weights whose gradients are outer products; no others have any.
        """

    def scores(self, inputs: Tensor) -> Tensor:
        """In evaluation mode, from weights without scales: float (T, classes, images)."""


def losses_and_right(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (T,) and the number of right answers (T,) of scores (T, classes, images).

    With the images last a CPU takes many at once; with a row of ten classes for each it takes ten times as long.
    """
    each = functional.cross_entropy(scores, labels.expand(len(scores), -1), reduction="none")
    return each.mean(dim=1), (answers(scores.detach()) == labels).sum(dim=1)


def answers(scores: Tensor) -> Tensor:
    """The class with the highest score, the first of equals: int64 (T, images) of scores (T, classes, images)."""
    return scores.max(dim=1).indices  # on a CPU a tenth of what argmax takes along this dimension


def gradients_of(losses: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of each network's loss by its own slice of every leaf."""
    found = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def as_leaves(weights: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """These weights, sharing their memory, as leaves of a new graph."""
    return {name: weights[name].detach().requires_grad_() for name in names}


def trained_names(weights: dict[str, Tensor]) -> list[str]:
    """Those of a state dict's entries that are parameters: all but batch norm's statistics."""
    return [name for name in weights if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
