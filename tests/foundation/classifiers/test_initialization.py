import math

import numpy as np
import pytest
import torch
from torch import nn

from sanefit.components.foundation.classifiers.convnet import convnet
from sanefit.components.foundation.classifiers.initialization import (
    OUTPUT_LAYER_GAIN,
    initialize,
    weight_layers,
)
from sanefit.components.foundation.classifiers.mlp import mlp as build_mlp
from sanefit.components.foundation.schemas.network_kind import Activation
from sanefit.components.foundation.schemas.networks import ConvNetSettings


def initialized(network: nn.Module, init: str, seed: int = 0) -> nn.Module:
    initialize(network, init, torch.Generator().manual_seed(seed))
    return network


def mlp(init: str, seed: int = 0) -> nn.Module:
    return initialized(build_mlp((16, 16, 3), 100, (300,), "relu", batch_norm=False, dropout=0.0), init, seed)


def cnn(init: str, seed: int = 0) -> nn.Module:
    return initialized(convnet((8, 8, 3), 50, (64, 96), "relu", batch_norm=True, dropout=0.0), init, seed)


def assert_normal(weight: torch.Tensor, std: float) -> None:
    """Zero mean, this standard deviation and a normal's tails, within 5 standard errors."""
    values = weight.detach().double().numpy().ravel()
    count = len(values)
    assert abs(values.mean()) < 5 * std / math.sqrt(count)
    assert abs(values.std() - std) < 5 * std / math.sqrt(2 * count)
    within = float(np.mean(np.abs(values) < std))
    assert abs(within - 0.682689) < 5 * math.sqrt(0.682689 * 0.317311 / count)


@pytest.mark.parametrize(("init", "factor"), [("he", 2), ("xavier", 1)])
def test_hidden_linear_weights_have_the_std_of_their_scheme(init: str, factor: int) -> None:
    assert_normal(mlp(init).get_parameter("hidden1.weight"), math.sqrt(factor / 768))


@pytest.mark.parametrize(("init", "factor"), [("he", 2), ("xavier", 1)])
def test_kernels_count_channels_and_taps_as_fan_in(init: str, factor: int) -> None:
    network = cnn(init)
    assert_normal(network.get_parameter("conv1.weight"), math.sqrt(factor / (3 * 9)))
    assert_normal(network.get_parameter("conv2.weight"), math.sqrt(factor / (64 * 9)))


@pytest.mark.parametrize("init", ["he", "xavier"])
def test_the_output_layer_is_a_tenth_of_xavier(init: str) -> None:
    assert OUTPUT_LAYER_GAIN == 0.1
    assert_normal(mlp(init).get_parameter("output.weight"), 0.1 * math.sqrt(1 / 300))
    assert_normal(cnn(init).get_parameter("output.weight"), 0.1 * math.sqrt(1 / (96 * 2 * 2)))


@pytest.mark.parametrize("init", ["gaussian:0.01", "gaussian:2", "gaussian:1e-3"])
def test_gaussian_has_its_std_everywhere(init: str) -> None:
    std = float(init.removeprefix("gaussian:"))
    for network in (mlp(init), cnn(init)):
        for weight in (p for p in network.parameters() if p.ndim >= 2):
            assert_normal(weight, std)


def test_orthogonal_kernels_keep_lengths_times_root_two() -> None:
    wide, tall = mlp("orthogonal").get_parameter("hidden1.weight"), cnn("orthogonal").get_parameter("conv1.weight")
    assert torch.allclose(wide @ wide.T, 2 * torch.eye(300), atol=1e-4)  # 300 rows of 768
    columns = tall.flatten(1)  # 64 rows of 27
    assert torch.allclose(columns.T @ columns, 2 * torch.eye(27), atol=1e-4)


@pytest.mark.parametrize(
    ("activation", "scheme"),
    [("sigmoid", "xavier"), ("tanh", "xavier"), ("relu", "he"), ("leaky_relu", "he"), ("elu", "he"), ("maxout", "he")],
)
def test_each_activation_has_its_scheme(activation: Activation, scheme: str) -> None:
    assert ConvNetSettings(kind="convnet", activation=activation).scheme == scheme
    assert ConvNetSettings(kind="convnet", activation=activation, init="zeros").scheme == "zeros"


def test_zeros_are_all_zero() -> None:
    assert all(parameter.eq(0).all() for parameter in mlp("zeros").parameters())
    assert all(parameter.eq(0).all() for parameter in cnn("zeros").parameters() if parameter.ndim >= 2)


@pytest.mark.parametrize("init", ["he", "xavier", "gaussian:0.5", "zeros"])
def test_biases_become_zero(init: str) -> None:
    network = convnet((8, 8, 3), 5, (4, 6), "relu", batch_norm=False, dropout=0.0)
    biases = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    for bias in biases:
        nn.init.ones_(bias)
    initialized(network, init)
    assert len(biases) == 3
    assert all(bias.eq(0).all() for bias in biases)


def test_batch_norm_is_left_alone() -> None:
    network = cnn("gaussian:0.5")
    assert network.get_parameter("norm1.weight").eq(1).all()
    assert network.get_parameter("norm1.bias").eq(0).all()


def test_the_same_seed_gives_the_same_weights() -> None:
    one, two = mlp("he", seed=5), mlp("he", seed=5)
    assert all(a.equal(b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_another_seed_gives_other_weights() -> None:
    assert (
        not mlp("he", seed=5).get_parameter("hidden1.weight").equal(mlp("he", seed=6).get_parameter("hidden1.weight"))
    )


def test_the_global_seed_has_no_part() -> None:
    before = torch.get_rng_state()
    torch.manual_seed(1)
    one = mlp("he").get_parameter("hidden1.weight")
    torch.manual_seed(2)
    two = mlp("he").get_parameter("hidden1.weight")
    torch.set_rng_state(before)
    assert one.equal(two)


def test_the_first_loss_is_log_of_the_number_of_classes() -> None:
    inputs = torch.randn(500, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    scores = mlp("he")(inputs).detach().double().numpy()
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[:, 0]
    assert abs(losses.mean() - math.log(100)) < 0.05


def test_weight_layers_are_named_from_input_to_output() -> None:
    assert [name for name, _ in weight_layers(cnn("he"))] == ["conv1", "conv2", "output"]
