"""What each layer of a network gives out, and the gradient that comes back to it (ledger rows W2 to W5)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.activations import Maxout

ACTIVATIONS = (
    *(nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Softplus, Maxout),
)
WITH_WEIGHTS = (nn.Linear, nn.Conv2d)
SATURATED_WITHIN = 0.03  # of a bound, as a share of the span: tanh beyond 0.94, where its slope is below 0.12
BINS = 20


@dataclass
class Signal:
    """One layer's output: mean, standard deviation, shares, histogram; ``gradient_std`` after a backward pass.

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
    weights: nn.Parameter | None = field(default=None, repr=False)


def measure_signals(network: nn.Module, inputs: Tensor, objective: Callable[[Tensor], Tensor]) -> list[Signal]:
    """Run forward and backward once, in the network's present mode; its gradients are replaced.

    Args:
        network: its activation modules are measured in the order in which they are called; without one, its
            linear and convolutional layers but the last.
        inputs: what it takes.
        objective: a scalar from what it gives.
    """
    weighted: list[tuple[str, nn.Module]] = [(n, m) for n, m in network.named_modules() if isinstance(m, WITH_WEIGHTS)]
    watched = [(n, m) for n, m in network.named_modules() if isinstance(m, ACTIVATIONS)] or weighted[:-1]
    signals: list[Signal] = []
    before: list[nn.Parameter] = []

    def after_weights(module: nn.Module, _given: object, _output: Tensor) -> None:
        before.append(module.weight)  # type: ignore[arg-type]

    def after_activation(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(module: nn.Module, _given: object, output: Tensor) -> None:
            signal = _signal(name, module, output.detach())
            signal.weights = before[-1] if before else None
            signals.append(signal)
            if output.requires_grad:
                output.register_hook(lambda gradient: setattr(signal, "gradient_std", _std(gradient)))

        return keep

    hooks = [module.register_forward_hook(after_weights) for _, module in weighted]
    hooks += [module.register_forward_hook(after_activation(name)) for name, module in watched]
    try:
        network.zero_grad()
        objective(network(inputs)).backward()
    finally:
        for hook in hooks:
            hook.remove()
    for signal in signals:
        signal.gradient_to_weight = _gradient_to_weight(signal.weights)
    return signals


def _signal(name: str, module: nn.Module, output: Tensor) -> Signal:
    values = output.double().flatten()
    finite = values[torch.isfinite(values)]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 0.0)
    counts = torch.histc(finite.float(), BINS, low, high) if len(finite) else torch.zeros(BINS)
    return Signal(
        layer=name,
        kind=type(module).__name__,
        mean=values.mean().item(),
        std=values.std(correction=0).item(),
        saturated=_saturated(module, values),
        dead=_dead(module, output),
        low=low,
        high=high,
        histogram=[int(count) for count in counts],
    )


def _saturated(module: nn.Module, values: Tensor) -> float | None:
    if isinstance(module, nn.Tanh):
        distance = (1 - values.abs()) / 2
    elif isinstance(module, nn.Sigmoid):
        distance = torch.minimum(values, 1 - values)
    else:
        return None
    return (distance < SATURATED_WITHIN).double().mean().item()


def _dead(module: nn.Module, output: Tensor) -> float | None:
    if not isinstance(module, nn.ReLU | nn.ReLU6):
        return None
    neurons = output.transpose(0, 1).flatten(1) if output.ndim > 1 else output.unsqueeze(0)
    return (neurons.amax(dim=1) <= 0).double().mean().item()


def _std(gradient: Tensor) -> float:
    return gradient.double().std(correction=0).item()


def _gradient_to_weight(weights: nn.Parameter | None) -> float | None:
    if weights is None or weights.grad is None:
        return None
    length = weights.detach().norm().item()
    return weights.grad.norm().item() / length if length else None
