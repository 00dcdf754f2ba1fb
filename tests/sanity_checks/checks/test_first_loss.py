import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from listed_sources import read_all
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.sanity_checks.checks.first_loss import check_first_loss, check_regularization
from sanefit.components.sanity_checks.setup import Setup, with_verdict

NETWORKS: list[NetworkSettings] = [
    TwoLayerSettings(kind="two_layer", hidden=16),
    ConvNetSettings(kind="convnet", channels=(4, 8)),
    ConvNetSettings(kind="convnet", channels=(4, 8), batch_norm=False),
]
# The lecture's: CIFAR-10's channel means are subtracted, pixels keep their scale.
TOY_STATS = ChannelStats(
    normalization="channel_mean",
    images=50_000,
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    shift=[125.3, 123.0, 113.9],
    scale=[1.0, 1.0, 1.0],
    histogram=[],
)
TOY_NETWORK = TwoLayerSettings(kind="two_layer", init="gaussian:1e-4", hidden=50)


def digits_images(digits: DatasetReference) -> tuple[Tensor, Tensor]:
    pixels, labels = read_split(digits, "train")
    return torch.from_numpy(pixels[:500]), torch.from_numpy(labels[:500])


def looking_at(classifier: nn.Module, images: tuple[Tensor, Tensor], classes: int = 10) -> Setup:
    return Setup(classifier, classes, *images, *images)


def built(network: NetworkSettings, init: str, stats: ChannelStats, seed: int = 0) -> Classifier:
    return build_classifier(network.model_copy(update={"init": init}), (8, 8, 1), 10, stats, seed)


def squares(classifier: nn.Module) -> float:
    weights = [p.detach().double().numpy() for name, p in classifier.named_parameters() if p.ndim > 1]
    return float(sum((weight**2).sum() for weight in weights))


def losses(measured: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\S+) at 0, (\S+) at 1000", measured)
    assert found
    return float(found[1]), float(found[2])


def cross_entropy(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    log_sum = np.logaddexp.reduce(scores, axis=1)
    return float((log_sum - scores[np.arange(len(labels)), labels]).mean())


@pytest.fixture(scope="module")
def cifar10(cifar10_archive: Path) -> tuple[Tensor, Tensor]:
    """The first 100 images of every class; the archive is ordered by class."""
    kept: Counter[str] = Counter()
    pixels, labels = [], []
    for image in read_all(f"tar:{cifar10_archive}"):
        if kept[image.class_name] < 100:
            kept[image.class_name] += 1
            pixels.append(decode(image.content, image.path))
            labels.append(len(kept) - 1)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_first_losses_of_the_lecture_are_reproduced(cifar10: tuple[Tensor, Tensor], seed: int) -> None:
    classifier = build_classifier(TOY_NETWORK, (32, 32, 3), 10, TOY_STATS, seed)
    first = check_first_loss(looking_at(classifier, cifar10))
    assert first.verdict == "pass"
    assert float(first.measured) == pytest.approx(2.3026, abs=0.02)
    raised = check_regularization(looking_at(classifier, cifar10))
    assert raised.verdict == "pass"
    assert losses(raised.measured)[0] == pytest.approx(2.3026, abs=0.02)
    assert losses(raised.measured)[1] == pytest.approx(3.07, abs=0.02)


@pytest.mark.parametrize("init", ["he", "xavier", "gaussian:0.01"])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_small_random_weights_give_log_k_on_digits(
    network: NetworkSettings, init: str, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    classifier = built(network, init, digits_stats)
    gate = check_first_loss(looking_at(classifier, digits_images(digits)))
    assert gate.verdict == "pass"
    assert float(gate.measured) == pytest.approx(math.log(10), rel=0.1)
    assert gate.expected.startswith("2.3026 = log 10")
    assert gate.fix == ""


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_big_weights_fail_the_first_loss(
    network: NetworkSettings, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    gate = check_first_loss(looking_at(built(network, "gaussian:10", digits_stats), digits_images(digits)))
    assert gate.verdict == "fail"
    assert float(gate.measured) > 10
    assert "network.init" in gate.fix


def test_the_first_loss_is_the_cross_entropy_that_numpy_finds(
    digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    pixels, labels = digits_images(digits)
    classifier = built(NETWORKS[0], "gaussian:0.3", digits_stats)
    weights = {name: p.detach().double().numpy() for name, p in classifier.network.named_parameters()}
    inputs = (pixels.reshape(len(pixels), -1).double().numpy() - digits_stats.shift[0]) / digits_stats.scale[0]
    scores = np.maximum(inputs @ weights["hidden1.weight"].T, 0) @ weights["output.weight"].T
    expected = cross_entropy(scores, labels.numpy())
    assert expected > 3  # far from log 10: a constant would not do
    assert float(check_first_loss(looking_at(classifier, (pixels, labels))).measured) == pytest.approx(
        expected, abs=1e-3
    )


def test_the_first_loss_uses_the_statistics_of_the_batch_as_training_does(digits: DatasetReference) -> None:
    """Batch norm right on the pixels: with its running averages, 0 and 1, the scores would be huge."""
    pixels, labels = digits_images(digits)
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10))
    x = pixels.reshape(len(pixels), -1).double().numpy()
    normalized = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    weight, bias = (network.get_parameter(f"2.{name}").detach().double().numpy() for name in ("weight", "bias"))
    expected = cross_entropy(normalized @ weight.T + bias, labels.numpy())
    classifier = Classifier(InputNormalization([0.0], [1.0]), network).eval()
    assert float(check_first_loss(looking_at(classifier, (pixels, labels))).measured) == pytest.approx(
        expected, abs=1e-3
    )
    assert losses(check_regularization(looking_at(classifier, (pixels, labels))).measured)[0] == pytest.approx(
        expected, abs=1e-3
    )


@settings(deadline=None)
@given(deviation=st.floats(-0.9, 3), classes=st.integers(2, 20))
def test_the_verdict_on_the_first_loss_follows_its_distance_from_log_k(deviation: float, classes: int) -> None:
    assume(all(abs(abs(deviation) - edge) > 1e-3 for edge in (0.2, 0.5)))
    loss = math.log(classes) * (1 + deviation)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, classes))
    nn.init.zeros_(network.get_parameter("1.weight"))
    bias = nn.init.zeros_(network.get_parameter("1.bias"))
    with torch.no_grad():
        bias[0] = math.log((classes - 1) / math.expm1(loss))  # cross-entropy of class 0 becomes ``loss``
    classifier = Classifier(InputNormalization([0.0], [1.0]), network)
    pixels, labels = torch.zeros((3, 2, 2, 1), dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)
    gate = check_first_loss(looking_at(classifier, (pixels, labels), classes))
    assert float(gate.measured) == pytest.approx(loss, abs=1e-3)
    assert gate.verdict == ("pass" if abs(deviation) < 0.2 else "warn" if abs(deviation) < 0.5 else "fail")
    assert bool(gate.fix) == (gate.verdict != "pass")


@given(shares=st.lists(st.integers(1, 125), min_size=2, max_size=8))  # the check looks at 1,000 images
@settings(deadline=None)
def test_a_head_that_knows_the_shares_is_expected_at_their_entropy(shares: list[int]) -> None:
    assume(len(set(shares)) > 1)
    labels = torch.repeat_interleave(torch.arange(len(shares)), torch.tensor(shares))
    part = np.array(shares) / sum(shares)
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, len(shares)))
    nn.init.zeros_(network.get_parameter("1.weight"))
    network.get_parameter("1.bias").data = torch.tensor(np.log(part), dtype=torch.float32)
    pixels = torch.zeros((len(labels), 1, 1, 1), dtype=torch.uint8)
    gate = check_first_loss(
        looking_at(Classifier(InputNormalization([0.0], [1.0]), network), (pixels, labels), len(shares))
    )
    entropy = float(-(part * np.log(part)).sum())
    assert float(gate.measured) == pytest.approx(entropy, abs=1e-3)
    assert gate.verdict == "pass"
    assert float(gate.expected.split()[0]) == pytest.approx(entropy, abs=1e-3)


def test_a_loss_below_zero_has_the_wrong_sign(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    classifier = built(NETWORKS[0], "he", digits_stats)
    setup = looking_at(classifier, digits_images(digits))
    wrong = replace(setup, loss=lambda scores, labels: -functional.cross_entropy(scores, labels))
    gate = check_first_loss(wrong)
    assert (gate.verdict, gate.measured[0]) == ("fail", "-")
    assert "wrong sign" in gate.fix


def test_how_far_it_may_be_can_be_set(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    classifier = built(NETWORKS[0], "he", digits_stats)
    strict = CheckSettings(first_loss_warn=1e-6, first_loss_fail=2e-6)
    setup = replace(looking_at(classifier, digits_images(digits)), thresholds=strict)
    assert check_first_loss(setup).verdict == "fail"


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_regularization_adds_half_its_strength_times_the_squared_weights(
    network: NetworkSettings, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    classifier = built(network, "he", digits_stats)
    gate = check_regularization(looking_at(classifier, digits_images(digits)))
    without, raised = losses(gate.measured)
    assert gate.verdict == "pass"
    assert without == pytest.approx(math.log(10), rel=0.1)
    assert raised - without == pytest.approx(500 * squares(classifier), rel=1e-4)
    assert f"above {without:.4f}" in gate.expected


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_zero_weights_fail_to_raise_the_loss(
    network: NetworkSettings, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    gate = check_regularization(looking_at(built(network, "zeros", digits_stats), digits_images(digits)))
    assert gate.verdict == "fail"
    without, raised = losses(gate.measured)  # after a few steps, in which no matrix moves
    assert without == raised == pytest.approx(math.log(10), abs=0.05)
    assert "network.init=he" in gate.fix


def test_a_softmax_regression_may_start_at_zero(digits: DatasetReference) -> None:
    class Regression(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.zeros(64, 10)), nn.Parameter(torch.zeros(10))

        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.flatten(1).float() / 255 @ self.weight + self.bias

    setup = looking_at(Regression(), digits_images(digits))
    assert check_regularization(setup).verdict == "pass"
    assert check_first_loss(setup).verdict == "pass"


def test_a_penalty_beyond_all_numbers_is_not_a_rise(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    gate = check_regularization(looking_at(built(NETWORKS[0], "gaussian:1e17", digits_stats), digits_images(digits)))
    assert gate.verdict == "fail"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("layer", ["hidden1", "output"])
def test_a_loss_that_is_not_a_number_passes_neither_gate(
    bad: float, layer: str, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    classifier = built(NETWORKS[0], "he", digits_stats)
    classifier.network.get_parameter(f"{layer}.weight").data[0, 0] = bad
    pixels, labels = digits_images(digits)
    if (layer, bad) != ("hidden1", math.inf):  # there it meets a pixel below the mean, and ReLU makes it 0
        assert check_first_loss(looking_at(classifier, (pixels, labels))).verdict == "fail"
    assert check_regularization(looking_at(classifier, (pixels, labels))).verdict == "fail"


@pytest.mark.parametrize(
    ("scale", "verdict", "after_overfitting"), [(1.0, "pass", "pass"), (6.0, "fail", "pass"), (100.0, "fail", "fail")]
)
def test_a_network_that_learns_20_samples_may_be_farther_off(
    scale: float, verdict: str, after_overfitting: str
) -> None:
    scores = scale * torch.nn.functional.normalize(torch.randn(100, 3, generator=torch.Generator().manual_seed(0)))
    pixels, labels = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1), torch.arange(100) % 3

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(1, 3)

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return scores[given.flatten().long()]

    setup = Setup(Fixed(), 3, pixels, labels, pixels, labels)
    assert check_first_loss(setup).verdict == verdict
    assert check_first_loss(with_verdict(setup, "overfit", "pass")).verdict == after_overfitting
