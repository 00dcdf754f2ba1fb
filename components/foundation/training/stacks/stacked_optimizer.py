"""One step of T optimizers at once, each with its own rate, momentum and weight decay."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.training.loop.optimizers import OPTIMIZERS, SECOND_MOMENT_DECAY
from sanefit.components.foundation.training.stacks.stacked_network import Gradient, OuterProduct, by_neuron

EPSILON = 1e-8  # torch's, of Adam
DECAYED_FROM = 3  # dimensions, T among them: matrices and kernels, as ``decayed_weights``
SMALLEST_SCALE = 2.0**-10  # far from where float32 ends, and seldom reached in an epoch


@dataclass
class StackedOptimizer:
    """T optimizers of one kind, one of ``STACKED_STEPS``.

    ``momentum``, ``weight_decay``: (T,). ``nesterov``: of all, with SGD. ``slots``: as ``optimizer_slots``, T in front.

    ``scales``: (T,) by name, of the first layers of plain SGD on a CPU: what the weights in memory are to be multiplied
    by. Their decay is kept beside them so, rather than another pass over memory in each step (Bottou 2012, Stochastic
    gradient descent tricks).
    """

    kind: OptimizerKind
    momentum: Tensor
    weight_decay: Tensor
    slots: dict[str, dict[str, Tensor]]
    scales: dict[str, Tensor] = field(default_factory=dict)
    nesterov: bool = False

    def __post_init__(self) -> None:
        self.has_momentum = bool((self.momentum > 0).any())
        self.has_decay = bool((self.weight_decay > 0).any())

    def prepare(self, weights: dict[str, Tensor]) -> None:
        """Make the slots that are not there yet, for these parameters."""
        for slot in STACKED_STEPS[self.kind].slots(self):
            present = self.slots.setdefault(slot, {})
            present.update({name: torch.zeros_like(value) for name, value in weights.items() if name not in present})

    @torch.no_grad()
    def step(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, steps: Tensor) -> None:
        """Change a weight (T, ...) and its slots in place; its decay may go to ``scales`` instead, until ``settle``.

        Args:
            name: of the parameter.
            weight: of all networks.
            gradient: of the cross-entropy alone.
            rates: (T,), of this step.
            steps: float scalar, how many steps were taken, this one included.
        """
        decays = self.has_decay and weight.ndim >= DECAYED_FROM
        STACKED_STEPS[self.kind].take(self, name, weight, gradient, rates, steps, decays)

    def settle(self, weights: dict[str, Tensor]) -> None:
        """Multiply the scales into these weights, in place; then they are 1. Before it weights are not to be read."""
        for name, scale in self.scales.items():
            weights[name].mul_(_along(scale, weights[name]))
            scale.fill_(1)

    def select(self, kept: Tensor) -> "StackedOptimizer":
        """Of the networks with these numbers."""
        slots = {slot: {name: value[kept] for name, value in values.items()} for slot, values in self.slots.items()}
        scales = {name: scale[kept] for name, scale in self.scales.items()}
        return StackedOptimizer(self.kind, self.momentum[kept], self.weight_decay[kept], slots, scales, self.nesterov)

    def _sgd(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, _steps: Tensor, decays: bool) -> None:
        if self.has_momentum:
            self._with_momentum(name, weight, gradient, rates, decays)
        else:
            self._plain(name, weight, gradient, rates, decays)

    def _plain(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, decays: bool) -> None:
        # A look at a scale would wait for a GPU.
        if decays and isinstance(gradient, OuterProduct) and weight.device.type == "cpu":
            rates = rates / self._decay_scale(name, weight, rates)
        elif decays:
            weight.mul_(_along(1 - rates * self.weight_decay, weight))
        _step_against(gradient, weight, rates)

    def _decay_scale(self, name: str, weight: Tensor, rates: Tensor) -> Tensor:
        """Decay a weight by its scale, or the networks whose scale gets small by themselves; the scale (T,) then."""
        scale = self.scales.setdefault(name, torch.ones_like(rates)).mul_(1 - rates * self.weight_decay)
        small = (scale > SMALLEST_SCALE).logical_not_()  # negative, 0 and NaN, too
        if bool(small.any()):
            weight.mul_(_along(torch.where(small, scale, 1), weight))
            scale.masked_fill_(small, 1)
        return scale

    def _with_momentum(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, decays: bool) -> None:
        velocity = self.slots["momentum_buffer"][name].mul_(_along(self.momentum, weight))
        if isinstance(gradient, OuterProduct):
            velocity.flatten(0, 1).addmm_(gradient.left, gradient.right)
        else:
            velocity.add_(gradient)
        if decays:
            velocity.addcmul_(weight, _along(self.weight_decay, weight))
        if self.nesterov:  # this gradient, once more, beside what is left of the velocity in the next step
            if decays:
                weight.mul_(_along(1 - rates * self.weight_decay, weight))
            _step_against(gradient, weight, rates)
            rates = rates * self.momentum
        weight.addcmul_(velocity, _along(rates, weight), value=-1)

    def _adam(self, name: str, weight: Tensor, gradient: Gradient, rates: Tensor, steps: Tensor, decays: bool) -> None:
        dense = gradient.dense(weight) if isinstance(gradient, OuterProduct) else gradient
        if decays and OPTIMIZERS[self.kind].decays_beside_the_loss:
            weight.mul_(_along(1 - rates * self.weight_decay, weight))
        elif decays:
            dense = dense.addcmul(weight, _along(self.weight_decay, weight))
        mean, square = self.slots["exp_avg"][name], self.slots["exp_avg_sq"][name]
        keep = _along(self.momentum, weight)
        mean.mul_(keep).addcmul_(dense, 1 - keep)
        square.mul_(SECOND_MOMENT_DECAY).addcmul_(dense, dense, value=1 - SECOND_MOMENT_DECAY)
        corrected = (square / (1 - SECOND_MOMENT_DECAY**steps)).sqrt_().add_(EPSILON)
        length = _along(rates / (1 - self.momentum**steps), weight)
        weight.sub_(mean.mul(length).div_(corrected))


def _step_against(gradient: Gradient, weight: Tensor, rates: Tensor) -> None:
    if isinstance(gradient, OuterProduct):
        left = gradient.left * by_neuron(rates, weight)
        weight.flatten(0, 1).addmm_(left, gradient.right, alpha=-1)
    else:
        weight.addcmul_(gradient, _along(rates, weight), value=-1)


def _along(values: Tensor, weight: Tensor) -> Tensor:
    """(T,) as (T, 1, ...), to be broadcast over a weight."""
    return values.reshape(-1, *(1,) * (weight.ndim - 1))


@dataclass(frozen=True)
class StackedStep:
    """How a kind takes its step. ``slots``: what it remembers; ``take``: ``step``, told whether to decay."""

    slots: Callable[[StackedOptimizer], tuple[str, ...]]
    take: Callable[[StackedOptimizer, str, Tensor, Gradient, Tensor, Tensor, bool], None]


# Trials with a kind that is not here are trained by the loop.
STACKED_STEPS: dict[OptimizerKind, StackedStep] = {
    "sgd": StackedStep(lambda sgd: ("momentum_buffer",) if sgd.has_momentum else (), StackedOptimizer._sgd),
    "adam": StackedStep(lambda _: ("exp_avg", "exp_avg_sq"), StackedOptimizer._adam),
    "adamw": StackedStep(lambda _: ("exp_avg", "exp_avg_sq"), StackedOptimizer._adam),
}
