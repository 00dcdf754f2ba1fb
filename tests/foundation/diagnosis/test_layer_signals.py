"""Signals through the layers, against numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sanefit.components.foundation.diagnosis.layer_signals import BINS, Signal, measure_signals


def weighted_sum(outputs: Tensor) -> Tensor:
    return (outputs * torch.arange(1.0, outputs.numel() + 1).reshape(outputs.shape)).sum()


def network(activation: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), activation, nn.Linear(8, 5), type(activation)(), nn.Linear(5, 3))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), kind=st.sampled_from([nn.Tanh, nn.ReLU, nn.Sigmoid]))
def test_means_stds_and_gradients_are_numpys(seed: int, kind: type[nn.Module]) -> None:
    model = network(kind(), seed)
    inputs = torch.randn(20, 6)
    first, second = measure_signals(model, inputs, weighted_sum)
    w = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    f = {nn.Tanh: np.tanh, nn.ReLU: lambda x: np.maximum(x, 0), nn.Sigmoid: lambda x: 1 / (1 + np.exp(-x))}[kind]
    slope = {
        nn.Tanh: lambda y: 1 - y * y,
        nn.ReLU: lambda y: (y > 0).astype(float),
        nn.Sigmoid: lambda y: y * (1 - y),
    }[kind]
    h1 = f(inputs.double().numpy() @ w["0.weight"].T + w["0.bias"])
    h2 = f(h1 @ w["2.weight"].T + w["2.bias"])
    g2 = np.arange(1.0, 61.0).reshape(20, 3) @ w["4.weight"]
    g1 = (g2 * slope(h2)) @ w["2.weight"]
    for signal, values, gradient in ((first, h1, g1), (second, h2, g2)):
        assert signal.mean == pytest.approx(values.mean(), rel=1e-4, abs=1e-6)
        assert signal.std == pytest.approx(values.std(), rel=1e-4)
        assert signal.gradient_std == pytest.approx(gradient.std(), rel=1e-4)
        assert sum(signal.histogram) == values.size
        assert len(signal.histogram) == BINS
    length = np.linalg.norm((g1 * slope(h1)).T @ inputs.double().numpy())
    assert first.gradient_to_weight == pytest.approx(length / np.linalg.norm(w["0.weight"]), rel=1e-3)
    assert [first.layer, second.layer] == ["1", "3"]


def signal_of(activation: nn.Module, values: list[list[float]]) -> Signal:
    inputs = torch.tensor(values, dtype=torch.float32, requires_grad=True)
    [signal] = measure_signals(nn.Sequential(activation), inputs, torch.sum)
    return signal


def test_dead_neurons_are_zero_for_every_image() -> None:
    assert signal_of(nn.ReLU(), [[-1, 2, -3, 0], [-2, -1, -5, -1]]).dead == 0.75
    assert signal_of(nn.LeakyReLU(), [[-1, 2], [-2, -1]]).dead is None


def test_a_dead_channel_is_zero_at_every_position() -> None:
    images = torch.full((2, 2, 3, 3), -1.0)
    images[1, 0, 2, 2] = 5.0
    [signal] = measure_signals(nn.Sequential(nn.ReLU()), images.requires_grad_(), torch.sum)
    assert signal.dead == 0.5


def test_saturated_values_are_near_a_bound() -> None:
    assert signal_of(nn.Tanh(), [[0, 9, -9, 0.5]]).saturated == 0.5
    assert signal_of(nn.Sigmoid(), [[0, 9, -9, 9]]).saturated == 0.75
    assert signal_of(nn.ReLU(), [[9.0]]).saturated is None


def test_without_activation_modules_the_layers_are_watched_but_for_the_last() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert [signal.kind for signal in measure_signals(model, torch.randn(5, 4), torch.sum)] == ["Linear"]


def test_values_that_are_not_finite_are_told() -> None:
    signal = signal_of(nn.ReLU(), [[float("inf"), 1.0]])
    assert not np.isfinite(signal.std)


def test_no_hook_is_left_behind() -> None:
    model = network(nn.ReLU())
    measure_signals(model, torch.randn(4, 6), torch.sum)
    assert all(not module._forward_hooks for module in model.modules())
