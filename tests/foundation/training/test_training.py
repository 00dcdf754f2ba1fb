import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import ConvNetSettings, TwoLayerSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop import whole_training
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data

Array = NDArray[np.float64]
CLASSES, HIDDEN, SHAPE = 3, 7, (4, 5, 3)
SHIFT, SCALE = [120.0, 128.0, 131.5], [70.0, 74.0, 80.25]  # exact in float32
STATS = ChannelStats(
    normalization="channel_mean_std", images=60, mean=SHIFT, std=SCALE, shift=SHIFT, scale=SCALE, histogram=[]
)


def some_data(images: int = 61, validation: int = 23, seed: int = 0) -> TrainingData:
    random = np.random.default_rng(seed)
    return TrainingData(
        torch.from_numpy(random.integers(0, 256, (images, *SHAPE), dtype=np.uint8)),
        torch.from_numpy(random.integers(0, CLASSES, images)),
        torch.from_numpy(random.integers(0, 256, (validation, *SHAPE), dtype=np.uint8)),
        torch.from_numpy(random.integers(0, CLASSES, validation)),
    )


def some_classifier(seed: int = 0) -> Classifier:
    """The lecture's network in double precision, with biases that a mistake would show in."""
    settings = TwoLayerSettings(kind="two_layer", hidden=HIDDEN, init="gaussian:0.2")
    classifier = build_classifier(settings, SHAPE, CLASSES, STATS, seed).double()
    random = np.random.default_rng(seed)
    for name, parameter in classifier.named_parameters():
        if name.endswith("bias"):
            parameter.data.copy_(torch.from_numpy(random.normal(size=parameter.shape)))
    return classifier


@dataclass
class Oracle:
    """The two-layer network in numpy: forward, backward and SGD with momentum by hand."""

    weights: dict[str, Array]
    weight_decay: float
    momentum: float
    velocity: dict[str, Array] = field(default_factory=dict)

    def scores(self, x: Array) -> tuple[Array, Array]:
        hidden = np.maximum(x @ self.weights["w1"].T + self.weights["b1"], 0)
        return hidden, hidden @ self.weights["w2"].T + self.weights["b2"]

    def cross_entropy(self, scores: Array, y: NDArray[np.int64]) -> float:
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1))
        return float((log_sum - shifted[np.arange(len(y)), y]).mean())

    def penalty(self) -> float:
        squares = (self.weights["w1"] ** 2).sum() + (self.weights["w2"] ** 2).sum()
        return self.weight_decay / 2 * float(squares)

    def step(self, x: Array, y: NDArray[np.int64], rate: float) -> tuple[float, int]:
        """One step; the cross-entropy, and how many were right, both before the step."""
        hidden, scores = self.scores(x)
        loss = self.cross_entropy(scores, y)
        probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        d_scores = (probabilities - np.eye(CLASSES)[y]) / len(y)
        d_hidden = (d_scores @ self.weights["w2"]) * (hidden > 0)
        gradients = {
            "w1": d_hidden.T @ x + self.weight_decay * self.weights["w1"],
            "b1": d_hidden.sum(axis=0),
            "w2": d_scores.T @ hidden + self.weight_decay * self.weights["w2"],
            "b2": d_scores.sum(axis=0),
        }
        for name, gradient in gradients.items():
            self.velocity[name] = self.momentum * self.velocity.get(name, 0) + gradient
            self.weights[name] = self.weights[name] - rate * self.velocity[name]
        return loss, int((scores.argmax(axis=1) == y).sum())


def train(
    classifier: Classifier, data: TrainingData, *, seed: int, after_epoch: Any = lambda _: None, **recipe: Any
) -> tuple[str, list[EpochRecord]]:
    return whole_training.train(classifier, data, Recipe(**recipe, batch_seed=seed), after_epoch)


def weights_of(classifier: Classifier) -> dict[str, Array]:
    names = {"hidden1.weight": "w1", "hidden1.bias": "b1", "output.weight": "w2", "output.bias": "b2"}
    return {short: classifier.network.get_parameter(name).detach().numpy().copy() for name, short in names.items()}


def inputs(pixels: torch.Tensor) -> Array:
    normalized = (pixels.numpy().astype(np.float64) - SHIFT) / SCALE
    return normalized.transpose(0, 3, 1, 2).reshape(len(pixels), -1)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize(("weight_decay", "momentum"), [(0.0, 0.0), (0.05, 0.0), (0.0, 0.9), (0.05, 0.9)])
def test_training_is_what_numpy_does_by_hand(weight_decay: float, momentum: float, schedule: str) -> None:
    data, classifier, epochs, batch_size, seed, rate = some_data(), some_classifier(), 3, 16, 5, 0.05
    oracle = Oracle(weights_of(classifier), weight_decay, momentum)
    status, records = train(
        classifier,
        data,
        learning_rate=rate,
        weight_decay=weight_decay,
        momentum=momentum,
        batch_size=batch_size,
        epochs=epochs,
        schedule="cosine" if schedule == "cosine" else "constant",
        seed=seed,
        judged_class=1,
    )
    assert status == "ok"
    assert [record.epoch for record in records] == [1, 2, 3]
    x, y = inputs(data.train_pixels), data.train_labels.numpy()
    x_validation, y_validation = inputs(data.validation_pixels), data.validation_labels.numpy()
    steps_done, steps = 0, epochs * 4
    for record in records:
        total, correct = 0.0, 0
        for indices in (batch.numpy() for batch in shuffled_batches(len(y), batch_size, seed, record.epoch)):
            now = rate if schedule == "constant" else rate / 2 * (1 + math.cos(math.pi * steps_done / steps))
            loss, right = oracle.step(x[indices], y[indices], now)
            total, correct, steps_done = total + loss * len(indices), correct + right, steps_done + 1
        _, scores = oracle.scores(x_validation)
        assert record.learning_rate == pytest.approx(now, rel=1e-12)
        assert record.train_loss == pytest.approx(total / len(y) + oracle.penalty(), rel=1e-9)
        assert record.train_accuracy == pytest.approx(correct / len(y))
        assert record.validation_loss == pytest.approx(oracle.cross_entropy(scores, y_validation), rel=1e-9)
        predicted = scores.argmax(axis=1)
        assert record.validation_accuracy == pytest.approx(np.mean(predicted == y_validation))
        recalls = [np.mean(predicted[y_validation == label] == label) for label in np.unique(y_validation)]
        assert record.validation_balanced_accuracy == pytest.approx(np.mean(recalls))
        assert record.validation_recall == pytest.approx(recalls[1])
    for name, weight in weights_of(classifier).items():
        np.testing.assert_allclose(weight, oracle.weights[name], rtol=1e-8, atol=1e-11)


def trained(
    *,
    learning_rate: float = 0.05,
    batch_size: int = 16,
    epochs: int = 2,
    schedule: str = "constant",
    seed: int = 0,
    weight_decay: float = 1e-3,
) -> tuple[str, list[EpochRecord]]:
    return train(
        some_classifier().float(),
        some_data(),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        momentum=0.9,
        batch_size=batch_size,
        epochs=epochs,
        schedule="cosine" if schedule == "cosine" else "constant",
        seed=seed,
    )


def test_a_rate_of_a_million_diverges_in_the_first_epoch() -> None:
    status, records = trained(learning_rate=1e6, batch_size=4, epochs=3)
    assert status == "diverged"
    assert [(record.epoch, record.train_loss) for record in records] == [(1, None)]


def test_a_loss_that_breaks_in_the_last_step_shows_in_validation() -> None:
    status, records = trained(learning_rate=1e38, batch_size=100, epochs=3, weight_decay=0.0)  # one step an epoch
    assert status == "diverged"
    (record,) = records
    assert record.train_loss is not None
    assert record.validation_loss is None


def test_a_network_that_diverged_takes_no_further_step() -> None:
    classifier = some_classifier()
    classifier.network.get_parameter("output.bias").data[0] = float("nan")
    before = weights_of(classifier)
    status, records = train(
        classifier,
        some_data(),
        learning_rate=0.1,
        weight_decay=0.0,
        momentum=0.0,
        batch_size=16,
        epochs=2,
        schedule="constant",
        seed=0,
    )
    assert (status, len(records)) == ("diverged", 1)
    for name, weight in weights_of(classifier).items():
        np.testing.assert_array_equal(weight, before[name])


def test_the_same_seed_gives_identical_records() -> None:
    assert trained(seed=3) == trained(seed=3)


def test_another_seed_gives_other_records() -> None:
    assert trained(seed=3) != trained(seed=4)


def test_the_cosine_schedule_falls_to_nearly_nothing() -> None:
    rates = [record.learning_rate for record in trained(schedule="cosine", epochs=20)[1]]
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[0] == pytest.approx(0.05, rel=0.01)
    assert rates[9] == pytest.approx(0.025, rel=0.05)
    assert 0 <= rates[-1] < 0.05 * 1e-3


def test_the_constant_schedule_stays() -> None:
    assert {record.learning_rate for record in trained(epochs=4)[1]} == {0.05}


def test_each_record_is_handed_over_when_its_epoch_ends() -> None:
    classifier, seen = some_classifier(), []

    def after_epoch(record: EpochRecord) -> None:
        seen.append((record, weights_of(classifier)["w1"].sum()))

    _, records = train(
        classifier,
        some_data(),
        learning_rate=0.05,
        weight_decay=0.0,
        momentum=0.0,
        batch_size=16,
        epochs=3,
        schedule="constant",
        seed=0,
        after_epoch=after_epoch,
    )
    assert [record for record, _ in seen] == records
    assert len({weight for _, weight in seen}) == 3  # between two epochs the weights moved


def test_validation_does_not_touch_batch_norm_statistics() -> None:
    """One step on one batch: the running mean is a tenth of that batch's mean, whatever is validated."""
    data = some_data()
    settings = ConvNetSettings(kind="convnet", channels=(4,))
    classifier = build_classifier(settings, SHAPE, CLASSES, STATS, 0).double()
    conv = classifier.network.get_submodule("conv1")
    expected = conv(classifier.normalization(data.train_pixels)).mean(dim=(0, 2, 3)).detach() / 10
    train(
        classifier,
        data,
        learning_rate=0.05,
        weight_decay=0.0,
        momentum=0.0,
        batch_size=1000,
        epochs=1,
        schedule="constant",
        seed=0,
    )
    torch.testing.assert_close(classifier.network.get_buffer("norm1.running_mean"), expected)


def test_the_training_data_are_the_two_splits_of_the_snapshot(digits: DatasetReference) -> None:
    data = read_training_data(digits)
    for split, pixels, labels in (
        ("train", data.train_pixels, data.train_labels),
        ("validation", data.validation_pixels, data.validation_labels),
    ):
        expected_pixels, expected_labels = read_split(digits, "train" if split == "train" else "validation")
        np.testing.assert_array_equal(pixels.numpy(), expected_pixels)
        np.testing.assert_array_equal(labels.numpy(), expected_labels)


def test_the_digits_are_learned(digits: DatasetReference, digits_stats: ChannelStats) -> None:
    classifier = build_classifier(TwoLayerSettings(kind="two_layer"), (8, 8, 1), 10, digits_stats, seed=0)
    status, records = train(
        classifier,
        read_training_data(digits),
        learning_rate=0.1,
        weight_decay=1e-4,
        momentum=0.9,
        batch_size=64,
        epochs=5,
        schedule="cosine",
        seed=0,
    )
    assert status == "ok"
    assert records[-1].validation_accuracy > 0.93
