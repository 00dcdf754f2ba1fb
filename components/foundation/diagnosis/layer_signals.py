"""What each layer of a network gives out, and the gradient that comes back to it (ledger rows W2 to W5)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sanefit.components.foundation.diagnosis.activation_kinds import bounds_of, is_activation, is_rectifier, kind_of
from sanefit.components.foundation.diagnosis.network_paths import beside_gates, is_layer, weight_of
from sanefit.components.foundation.diagnosis.operations import Operation, Trace, trace

SATURATED_WITHIN = 0.03  # of a bound, as a share of the span: tanh beyond 0.94, where its slope is below 0.12
BINS = 20


@dataclass
class Signal:
    """One layer's output: mean, standard deviation, shares, histogram; ``gradient_std`` after a backward pass.

    ``layer``: path of its module; of a function in a ``forward``, the function and where it is called, too.
    ``saturated`` and ``dead`` are None where the kind of layer has none. ``gradient_to_weight``: lengths of the
    gradient and of the weights before the layer.
    """

    layer: str
    kind: str
    mean: float
    std: float
    saturated: float | None
    dead: float | None
    low: float
    high: float
    histogram: list[int]
    gradient_std: float = 0.0
    gradient_to_weight: float | None = None
    weights: Tensor | None = field(default=None, repr=False)


def measure_signals(network: nn.Module, inputs: Tensor, objective: Callable[[Tensor], Tensor]) -> list[Signal]:
    """Run forward and backward once, in the network's present mode; its gradients are replaced.

    Args:
        network: its activations are measured in the order in which they are called, but for those that do nothing
            but scale other values; without one, its linear and convolutional layers but the last.
        inputs: what it takes.
        objective: a scalar from what it gives.
    """
    weighted: list[Operation] = []
    activations: dict[int, Signal] = {}
    layers: dict[int, Signal] = {}

    def seen(operation: Operation) -> None:
        if is_layer(operation):
            weighted.append(operation)
            layers[operation.number] = _watched(operation, weighted)
        elif is_activation(operation):
            activations[operation.number] = _watched(operation, weighted)

    network.zero_grad()
    output, passed = trace(network, inputs, seen)
    objective(output).backward()
    for signal in (*activations.values(), *layers.values()):
        signal.gradient_to_weight = _gradient_to_weight(signal.weights)
    return _told_apart(_those_that_matter(activations, passed) or list(layers.values())[:-1])


def _watched(operation: Operation, weighted: list[Operation]) -> Signal:
    signal = _signal(operation, weighted)
    signal.weights = weight_of(weighted[-1]) if weighted else None
    if operation.result.requires_grad:
        operation.result.register_hook(lambda gradient: setattr(signal, "gradient_std", _std(gradient)))
    return signal


def _those_that_matter(activations: dict[int, Signal], passed: Trace) -> list[Signal]:
    """All where the way from input to output was not seen."""
    on_the_way = beside_gates(passed) or activations.keys()
    return [signal for number, signal in activations.items() if number in on_the_way]


def _told_apart(signals: list[Signal]) -> list[Signal]:
    """A line that is run several times is several layers."""
    times: dict[str, int] = {}
    for signal in signals:
        times[signal.layer] = times.get(signal.layer, 0) + 1
        if times[signal.layer] > 1:
            signal.layer += f" #{times[signal.layer]}"
    return signals


def _signal(operation: Operation, weighted: list[Operation]) -> Signal:
    output = operation.result.detach()
    values = output.double().flatten()
    finite = values[torch.isfinite(values)]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 0.0)
    counts = torch.histc(finite.float(), BINS, low, high) if len(finite) else torch.zeros(BINS)
    kind = kind_of(operation)
    return Signal(
        layer=operation.module if kind == operation.module_kind else operation.place,
        kind=kind,
        mean=values.mean().item(),
        std=values.std(correction=0).item(),
        saturated=_saturated(operation, values),
        dead=_dead(operation, output, weighted),
        low=low,
        high=high,
        histogram=[int(count) for count in counts],
    )


def _saturated(operation: Operation, values: Tensor) -> float | None:
    bounds = bounds_of(operation)
    if bounds is None or is_rectifier(operation):
        return None
    distance = torch.minimum(values - bounds[0], bounds[1] - values) / (bounds[1] - bounds[0])
    return (distance < SATURATED_WITHIN).double().mean().item()


def _dead(operation: Operation, output: Tensor, weighted: list[Operation]) -> float | None:
    """Neurons are channels: the second axis behind a convolution, the last behind a linear layer."""
    if not is_rectifier(operation):
        return None
    last = bool(weighted) and weighted[-1].name == "linear" and output.ndim > 2
    neurons = output.transpose(0, -1 if last else min(1, output.ndim - 1)).flatten(1)
    neurons = neurons if output.ndim > 1 else output.unsqueeze(0)
    return (neurons.amax(dim=1) <= 0).double().mean().item()


def _std(gradient: Tensor) -> float:
    return gradient.double().std(correction=0).item()


def _gradient_to_weight(weights: Tensor | None) -> float | None:
    if weights is None or not weights.is_leaf or weights.grad is None:
        return None
    length = weights.detach().norm().item()
    return weights.grad.norm().item() / length if length else None
