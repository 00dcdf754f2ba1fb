import copy
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_sources import read_all
from numpy.typing import NDArray
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, NetworkSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.sanity_checks.checks import overfit as overfit_gate
from sanefit.components.sanity_checks.checks.overfit import check_overfit, overfit_samples
from sanefit.components.sanity_checks.overfitting import Overfitted, overfit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TWO_LAYER = TwoLayerSettings(kind="two_layer", hidden=20)
CONVNET = ConvNetSettings(kind="convnet", channels=(4, 8))
MEASURED = re.compile(r"loss (\S+), accuracy (\S+) at learning rate (\S+) \(.+\)")
Array = NDArray[np.float64]


def twenty(digits: DatasetReference) -> tuple[Tensor, Tensor]:
    pixels, labels = read_split(digits, "train")
    return torch.from_numpy(pixels[:20]), torch.from_numpy(labels[:20])


def built(stats: ChannelStats, init: str = "he", network: NetworkSettings = TWO_LAYER, seed: int = 0) -> Classifier:
    return build_classifier(network.model_copy(update={"init": init}), (8, 8, 1), 10, stats, seed)


def measured(text: str) -> tuple[float, float, float]:
    found = MEASURED.fullmatch(text)
    assert found
    return float(found[1]), float(found[2]), float(found[3])


def descend(weights: dict[str, Array], x: Array, y: NDArray[np.int64], rate: float) -> tuple[float, float]:
    """Two hundred steps of full-batch gradient descent on the two-layer network, by hand."""
    w1, b1, w2, b2 = (weights[f"{layer}.{part}"] for layer in ("hidden1", "output") for part in ("weight", "bias"))
    targets = np.eye(len(b2))[y]
    for _ in range(200):
        hidden = np.maximum(x @ w1.T + b1, 0)
        d_scores = (softmax(hidden @ w2.T + b2) - targets) / len(y)
        d_hidden = (d_scores @ w2) * (hidden > 0)
        w1, b1 = w1 - rate * d_hidden.T @ x, b1 - rate * d_hidden.sum(axis=0)
        w2, b2 = w2 - rate * d_scores.T @ hidden, b2 - rate * d_scores.sum(axis=0)
    scores = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    loss = -np.log(softmax(scores)[np.arange(len(y)), y]).mean()
    return float(loss), float(np.mean(scores.argmax(axis=1) == y))


def softmax(scores: Array) -> Array:
    powers: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def cifar10_samples(cifar10_archive: Path) -> tuple[Tensor, Tensor]:
    """The first two images of every class; the archive is ordered by class."""
    kept: Counter[str] = Counter()
    pixels, labels = [], []
    for image in read_all(f"tar:{cifar10_archive}"):
        if kept[image.class_name] < 2:
            kept[image.class_name] += 1
            pixels.append(decode(image.content, image.path))
            labels.append(len(kept) - 1)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


@pytest.mark.parametrize("seed", range(2))
def test_twenty_samples_of_the_lecture_are_learned_by_heart(cifar10_samples: tuple[Tensor, Tensor], seed: int) -> None:
    mean = [125.3, 123.0, 113.9]
    stats = ChannelStats(
        normalization="channel_mean", images=50_000, mean=mean, std=mean, shift=mean, scale=[1.0] * 3, histogram=[]
    )
    network = TwoLayerSettings(kind="two_layer", init="gaussian:1e-4", hidden=50)
    classifier = build_classifier(network, (32, 32, 3), 10, stats, seed)
    gate = check_overfit(classifier, *cifar10_samples)
    assert gate.verdict == "pass"
    after = overfit(classifier, *cifar10_samples, rate=1e-3)
    assert after.accuracy == 1.0
    assert 0.001 < after.loss < 0.01  # the ledger has 0.0026


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_overfitting_is_plain_gradient_descent_on_all_samples(
    rate: float, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    pixels, labels = twenty(digits)
    classifier = built(digits_stats).double()
    weights = {name: p.detach().numpy().copy() for name, p in classifier.network.named_parameters()}
    # The normalizing layer's numbers went through float32.
    shift, scale = np.float64(np.float32(digits_stats.shift[0])), np.float64(np.float32(digits_stats.scale[0]))
    x = (pixels.reshape(20, -1).numpy() - shift) / scale
    after = overfit(classifier, pixels, labels, rate)
    assert (after.loss, after.accuracy) == pytest.approx(descend(weights, x, labels.numpy(), rate), rel=1e-6)


@pytest.mark.parametrize("network", [TWO_LAYER, CONVNET], ids=str)
@pytest.mark.parametrize("init", ["he", "xavier"])
def test_digits_can_be_learned_by_heart(
    network: NetworkSettings, init: str, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    pixels, labels = twenty(digits)
    classifier = built(digits_stats, init, network)
    gate = check_overfit(classifier, pixels, labels)
    loss, accuracy, rate = measured(gate.measured)
    assert (gate.verdict, gate.fix) == ("pass", "")
    assert loss < 0.01
    assert accuracy == 1
    assert "20 samples" in gate.title
    after = overfit(classifier, pixels, labels, rate, enough=0.01)
    assert (after.loss, after.accuracy) == pytest.approx((loss, accuracy), abs=1e-4)


def test_shuffled_labels_can_be_learned_by_heart_too(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    pixels, labels = twenty(digits)
    shuffled = torch.from_numpy(np.random.default_rng(0).permutation(labels.numpy()))
    assert (shuffled != labels).sum() > 10
    assert check_overfit(built(digits_stats), pixels, shuffled).verdict == "pass"


@pytest.mark.parametrize("cause", ["zero weights", "dead neurons"])
def test_a_dead_network_fails(cause: str, digits: DatasetReference, digits_stats: ChannelStats) -> None:
    classifier = built(digits_stats, "zeros" if cause == "zero weights" else "he")
    if cause == "dead neurons":
        torch.nn.init.constant_(classifier.network.get_parameter("hidden1.bias"), -1e4)
    pixels, labels = twenty(digits)
    gate = check_overfit(classifier, pixels, labels)
    most_frequent = float(labels.bincount().max()) / 20
    assert gate.verdict == "fail"
    assert measured(gate.measured)[1] == pytest.approx(most_frequent)
    assert "network.init" in gate.fix


def test_one_image_under_two_labels_fails(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    pixels, labels = twenty(digits)
    pixels, labels = pixels.clone(), labels.clone()
    pixels[1], labels[1] = pixels[0], (labels[0] + 1) % 10
    gate = check_overfit(built(digits_stats), pixels, labels)
    assert gate.verdict == "fail"
    assert measured(gate.measured)[1] == pytest.approx(0.95)
    assert "the labels" in gate.fix


def test_a_network_that_learns_slowly_passes_and_is_called_so(
    digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    faint = digits_stats.model_copy(update={"scale": [digits_stats.scale[0] * 15]})
    gate = check_overfit(built(faint), *twenty(digits))
    loss, accuracy, _ = measured(gate.measured)
    assert (gate.verdict, accuracy) == ("pass", 1)
    assert 0.001 <= loss < math.log(10)
    assert loss < 0.01 or gate.title.endswith(", slowly")


@pytest.mark.parametrize(
    ("outcomes", "verdict", "best"),
    [
        ([(0.05, 1.0), (0.004, 1.0), (0.001, 1.0)], "pass", (0.004, 1.0)),  # and the third rate is not tried
        ([(0.005, 0.95), (0.05, 1.0), (0.06, 1.0)], "warn", (0.05, 1.0)),
        ([(0.005, 0.95), (0.4, 0.9), (math.inf, 0.0)], "fail", (0.005, 0.95)),
    ],
)
def test_the_first_rate_that_passes_or_the_most_accurate_one_decides(
    outcomes: list[tuple[float, float]],
    verdict: str,
    best: tuple[float, float],
    digits: DatasetReference,
    digits_stats: ChannelStats,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = iter(outcomes)
    monkeypatch.setattr(overfit_gate, "overfit", lambda *_, **__: Overfitted(*next(played, (math.inf, 0.0))))
    gate = check_overfit(built(digits_stats), *twenty(digits))
    assert gate.verdict == verdict
    assert measured(gate.measured)[:2] == best


@pytest.mark.parametrize(("epochs", "verdict", "words"), [(3, "warn", "not yet"), (200, "pass", "")])
def test_what_is_still_learning_is_not_called_unable(
    epochs: int, verdict: str, words: str, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    gate = check_overfit(built(digits_stats), *twenty(digits), CheckSettings(overfit_epochs=epochs))
    assert gate.verdict == verdict
    assert words in gate.fix
    assert f"within {epochs} epochs" in gate.expected


@pytest.mark.parametrize(
    ("most_epochs", "outcome", "verdict"),
    [
        (5, Overfitted(1.0, 0.9, epochs=5), "unknown"),  # one try of nine
        (5, Overfitted(0.001, 1.0, epochs=5), "pass"),
        (5 * 9 + 4, Overfitted(1.0, 0.9, falling=0.5, epochs=5), "unknown"),  # all tries, but none longer
        (5 * 9, Overfitted(1.0, 0.9, epochs=5), "fail"),  # all tries, and no loss falls
    ],
)
def test_a_network_too_costly_for_every_try_is_not_called_unable(
    most_epochs: int,
    outcome: Overfitted,
    verdict: str,
    digits: DatasetReference,
    digits_stats: ChannelStats,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overfit_gate, "FEWEST_EPOCHS", 5)
    monkeypatch.setattr(overfit_gate, "overfit", lambda *_, **__: outcome)
    settings = CheckSettings(overfit_epochs=5)
    gate = check_overfit(built(digits_stats), *twenty(digits), settings, most_epochs=most_epochs)
    assert gate.verdict == verdict


@pytest.mark.parametrize(("numbers", "verdict"), [(1, "warn"), (2, "pass")])
def test_a_single_number_for_many_classes_is_told_though_it_fits_these_samples(
    numbers: int,
    verdict: str,
    digits: DatasetReference,
    digits_stats: ChannelStats,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = built(digits_stats)
    classifier.network = nn.Sequential(nn.Flatten(), nn.Linear(64, numbers), nn.ReLU(), nn.Linear(numbers, 10))
    monkeypatch.setattr(overfit_gate, "overfit", lambda *_, **__: Overfitted(0.001, 1.0, epochs=5))
    gate = check_overfit(classifier, *twenty(digits))
    assert gate.verdict == verdict
    assert ("a bottleneck: all that is known of an image goes through 1 number at '1' linear" in gate.fix) == (
        verdict == "warn"
    )


def test_the_loss_to_reach_can_be_set(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    gate = check_overfit(built(digits_stats), *twenty(digits), CheckSettings(overfit_loss=1e-9))
    assert gate.title.endswith(", slowly")
    assert "loss below 1e-09" in gate.expected


def test_a_network_of_nan_fails(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    classifier = built(digits_stats)
    classifier.network.get_parameter("output.weight").data[0, 0] = math.nan
    gate = check_overfit(classifier, *twenty(digits))
    assert gate.verdict == "fail"
    assert measured(gate.measured)[:2] == (math.inf, 0)


def test_a_rate_that_explodes_gives_an_infinite_loss(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    assert overfit(built(digits_stats), *twenty(digits), rate=1e30) == Overfitted(math.inf, 0.0, epochs=2)


def test_weights_that_know_the_samples_already_pass_at_once(
    digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    classifier = built(digits_stats)
    assert overfit(classifier, *twenty(digits), rate=0.1, epochs=2000).loss < 0.01
    gate = check_overfit(classifier, *twenty(digits))
    assert gate.verdict == "pass"
    assert measured(gate.measured)[0] < 0.01


@pytest.mark.parametrize("network", [TWO_LAYER, CONVNET], ids=str)
def test_the_classifier_stays_as_it_was(
    network: NetworkSettings, digits: DatasetReference, digits_stats: ChannelStats
) -> None:
    classifier = built(digits_stats, network=network)
    before = copy.deepcopy(classifier.state_dict())
    check_overfit(classifier, *twenty(digits))
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name]), name


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_the_samples_are_taken_from_the_classes_in_turn(labels: list[int]) -> None:
    chosen = overfit_samples(torch.tensor(labels)).tolist()
    assert len(chosen) == len(set(chosen)) == min(20, len(labels))
    taken = Counter(labels[index] for index in chosen)
    available = Counter(labels)
    for label, count in available.items():
        # No class waits while another, with images of this one left, is taken twice more.
        assert taken[label] == count or taken[label] >= max(taken.values()) - 1
