"""One step of T optimisers at once, each with its own rate, momentum and weight decay."""

from dataclasses import dataclass

import torch
from torch import Tensor

from components.foundation.training.optimizers import SECOND_MOMENT_DECAY, SLOTS
from components.foundation.training.trial_engine.stacked_network import Gradient, OuterProduct
from components.foundation.training_settings import OptimizerKind

EPSILON = 1e-8  # torch's, of Adam
DECAYED_FROM = 3  # dimensions, T among them: matrices and kernels, as ``decayed_weights``


@dataclass
class StackedOptimizer:
    """T optimisers of one kind. ``momentum``, ``weight_decay``: (T,). ``slots``: as ``optimizer_slots``, T in front."""

    kind: OptimizerKind
    momentum: Tensor
    weight_decay: Tensor
    slots: dict[str, dict[str, Tensor]]

    def __post_init__(self) -> None:
        self.has_momentum = bool((self.momentum > 0).any())
        self.has_decay = bool((self.weight_decay > 0).any())

    def prepare(self, weights: dict[str, Tensor]) -> None:
        """Make the slots that are not there yet, for these parameters."""
        needed = SLOTS[self.kind] if self.kind != "sgd" or self.has_momentum else ()
        for slot in needed:
            present = self.slots.setdefault(slot, {})
            present.update({name: torch.zeros_like(value) for name, value in weights.items() if name not in present})

    @torch.no_grad()
    def step(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, steps: Tensor) -> None:
        """Change a weight (T, ...) and its slots in place.

        Args:
            name: of the parameter.
            weight: of all networks.
            gradient: of the cross-entropy alone.
            rates: (T,), of this step.
            steps: float scalar, how many steps were taken, this one included.
        """
        decays = self.has_decay and weight.ndim >= DECAYED_FROM
        if self.kind == "sgd" and not self.has_momentum:
            self._plain(weight, gradient, rates, decays)
        elif self.kind == "sgd":
            self._with_momentum(name, weight, gradient, rates, decays)
        else:
            self._adam(name, weight, gradient, rates, steps, decays)

    def select(self, kept: Tensor) -> "StackedOptimizer":
        """Of the networks with these numbers."""
        slots = {slot: {name: value[kept] for name, value in values.items()} for slot, values in self.slots.items()}
        return StackedOptimizer(self.kind, self.momentum[kept], self.weight_decay[kept], slots)

    def _plain(self, weight: Tensor, gradient: Gradient, rates: Tensor, decays: bool) -> None:
        if decays:
            weight.mul_(_along(1 - rates * self.weight_decay, weight))
        if isinstance(gradient, OuterProduct):
            left = gradient.left * rates.repeat_interleave(weight.shape[1]).unsqueeze(1)
            weight.flatten(0, 1).addmm_(left, gradient.right, alpha=-1)
        else:
            weight.addcmul_(gradient, _along(rates, weight), value=-1)

    def _with_momentum(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, decays: bool) -> None:
        velocity = self.slots["momentum_buffer"][name].mul_(_along(self.momentum, weight))
        if isinstance(gradient, OuterProduct):
            velocity.flatten(0, 1).addmm_(gradient.left, gradient.right)
        else:
            velocity.add_(gradient)
        if decays:
            velocity.addcmul_(weight, _along(self.weight_decay, weight))
        weight.addcmul_(velocity, _along(rates, weight), value=-1)

    def _adam(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, steps: Tensor, decays: bool) -> None:
        dense = gradient.dense(weight) if isinstance(gradient, OuterProduct) else gradient
        if decays and self.kind == "adam":
            dense = dense.addcmul(weight, _along(self.weight_decay, weight))
        elif decays:
            weight.mul_(_along(1 - rates * self.weight_decay, weight))
        mean, square = self.slots["exp_avg"][name], self.slots["exp_avg_sq"][name]
        keep = _along(self.momentum, weight)
        mean.mul_(keep).addcmul_(dense, 1 - keep)
        square.mul_(SECOND_MOMENT_DECAY).addcmul_(dense, dense, value=1 - SECOND_MOMENT_DECAY)
        corrected = (square / (1 - SECOND_MOMENT_DECAY**steps)).sqrt_().add_(EPSILON)
        length = _along(rates / (1 - self.momentum**steps), weight)
        weight.sub_(mean.mul(length).div_(corrected))


def _along(values: Tensor, weight: Tensor) -> Tensor:
    """(T,) as (T, 1, ...), to be broadcast over a weight."""
    return values.reshape(-1, *(1,) * (weight.ndim - 1))
