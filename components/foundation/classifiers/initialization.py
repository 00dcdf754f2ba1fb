"""Weight initialization, by the schemes of the lecture (ledger rows W1 to W5)."""

import math

import torch
from torch import nn

from sanefit.components.foundation.schemas.network_kind import Init

# Keeps the first scores near zero, so that the first loss is log K whatever the hidden
# layers do (ledger S1); a fraction of Xavier's standard deviation.
OUTPUT_LAYER_GAIN = 0.1


def initialize(network: nn.Module, init: Init, generator: torch.Generator) -> None:
    """Set every linear and convolutional weight, in place; biases become 0.

    Args:
        network: its last linear layer is the output layer.
        init: ``he`` (std sqrt(2/fan_in), He et al. 2015), ``xavier`` (std sqrt(1/fan_in),
            Glorot & Bengio 2010), ``orthogonal`` (orthonormal rows or columns times sqrt(2), Saxe
            et al. 2014), ``gaussian:STD`` (that std everywhere), or ``zeros``.
            With the first three the output layer gets std 0.1 * sqrt(1/fan_in).
        generator: the source of randomness.
    """
    layers = weight_layers(network)
    for name, layer in layers:
        is_output = name == layers[-1][0]
        if init == "orthogonal" and not is_output:
            nn.init.orthogonal_(layer.weight, gain=math.sqrt(2), generator=generator)
        else:
            nn.init.normal_(layer.weight, std=_std(init, layer.weight[0].numel(), is_output), generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def weight_layers(network: nn.Module) -> list[tuple[str, nn.Linear | nn.Conv2d]]:
    """Every linear and convolutional layer with its name, input to output."""
    return [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def _std(init: str, fan_in: int, is_output: bool) -> float:
    match init.partition(":"):
        case ["gaussian", _, std]:
            return float(std)
        case ["zeros", *_]:
            return 0.0
        case ["he" | "xavier" | "orthogonal", *_] if is_output:
            return OUTPUT_LAYER_GAIN * math.sqrt(1 / fan_in)
        case ["he", *_]:
            return math.sqrt(2 / fan_in)
        case ["xavier", *_]:
            return math.sqrt(1 / fan_in)
    raise AssertionError(f"no standard deviation is known for {init!r}")
