import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.checks.symmetry import check_symmetry
from sanefit.components.sanity_checks.setup import Setup

STATS = ChannelStats(
    normalization="channel_mean_std", images=9, mean=[120.0], std=[60.0], shift=[120.0], scale=[60.0], histogram=[]
)
NETWORKS: dict[str, NetworkSettings] = {
    "two_layer": TwoLayerSettings(kind="two_layer", hidden=12),
    "convnet": ConvNetSettings(kind="convnet", channels=(4, 6)),
}


def measured(network: nn.Module) -> Measurement:
    """The check looks at the weights alone."""
    pixels, labels = torch.zeros((1, 8, 8, 1), dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    return check_symmetry(Setup(network, 10, pixels, labels, pixels, labels))


def built(kind: str, init: str) -> Classifier:
    return build_classifier(NETWORKS[kind].model_copy(update={"init": init}), (8, 8, 1), 10, STATS, seed=0)


@pytest.mark.parametrize("init", ["zeros", "gaussian:0"])
@pytest.mark.parametrize(("kind", "layer", "neurons"), [("two_layer", "hidden1", 12), ("convnet", "conv1", 4)])
def test_zero_weights_are_called_identical_neurons(kind: str, layer: str, neurons: int, init: str) -> None:
    gate = measured(built(kind, init))
    assert gate.verdict == "fail"
    assert "identical neurons" in gate.measured
    assert f"'{layer}' has {neurons} neurons" in gate.measured
    assert f"{neurons} distinct" in gate.expected
    assert "network.init=he" in gate.fix


@pytest.mark.parametrize("init", ["he", "xavier", "gaussian:0.01", "gaussian:1e-4"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_random_weights_pass(kind: str, init: str) -> None:
    gate = measured(built(kind, init))
    assert (gate.verdict, gate.fix) == ("pass", "")


def test_identical_neurons_in_a_later_layer_are_found_too() -> None:
    classifier = built("convnet", "he")
    kernels = classifier.network.get_parameter("conv2.weight")
    kernels.data.copy_(kernels.data[:1].expand_as(kernels))
    gate = measured(classifier)
    assert gate.verdict == "fail"
    assert "'conv2' has 6 neurons" in gate.measured


def test_the_output_layer_may_start_equal() -> None:
    classifier = built("two_layer", "he")
    nn.init.zeros_(classifier.network.get_parameter("output.weight"))
    assert measured(classifier).verdict == "pass"


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(2, 5), st.integers(1, 3)), elements=st.sampled_from([-1, 1, 2])))
def test_a_layer_fails_exactly_when_all_its_neurons_are_equal(weights: NDArray[np.float32]) -> None:
    neurons, inputs = weights.shape
    network = nn.Sequential(nn.Linear(inputs, neurons), nn.ReLU(), nn.Linear(neurons, 2))
    network.get_parameter("0.weight").data.copy_(torch.from_numpy(weights))
    all_equal = bool((weights == weights[0]).all())
    assert measured(network).verdict == ("fail" if all_equal else "pass")


class ZeroBranch(nn.Module):
    """A linear path, and beside it a low-rank one that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.main, self.down, self.up, self.output = (
            nn.Linear(64, 8),
            nn.Linear(64, 4),
            nn.Linear(4, 8),
            nn.Linear(8, 10),
        )
        nn.init.zeros_(self.up.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        inputs = pixels.float().flatten(1) / 255
        scores: Tensor = self.output(torch.relu(self.main(inputs) + self.up(self.down(inputs))))
        return scores


def test_a_branch_that_starts_at_zero_before_different_weights_passes() -> None:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 8, 8, 1), dtype=torch.uint8, generator=random)
    labels = torch.arange(40) % 10
    assert check_symmetry(Setup(ZeroBranch(), 10, pixels, labels, pixels, labels)).verdict == "pass"


def test_a_hidden_layer_of_one_neuron_passes() -> None:
    assert measured(nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 2))).verdict == "pass"


def test_neurons_of_nan_do_not_pass() -> None:
    classifier = built("two_layer", "he")
    nn.init.constant_(classifier.network.get_parameter("hidden1.weight"), float("nan"))
    assert measured(classifier).verdict == "fail"
