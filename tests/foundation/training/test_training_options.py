"""What a training does otherwise when it is asked, against numpy; and itself after an interruption."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.machine.arithmetic import Arithmetic
from sanefit.components.foundation.schemas.networks import ConvNetSettings, MlpSettings, NetworkSettings, ResNetSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.gradient_step import gradient_step
from sanefit.components.foundation.training.loop.loss import smoothed_cross_entropy
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_options import TrainingOptions

CLASSES, SHAPE = 3, (4, 5, 3)
SHIFT, SCALE = [120.0, 128.0, 131.5], [70.0, 74.0, 80.25]
STATS = ChannelStats(
    normalization="channel_mean_std", images=60, mean=SHIFT, std=SCALE, shift=SHIFT, scale=SCALE, histogram=[]
)
MLP = MlpSettings(kind="mlp", depth=1, width=7, dropout=0.3)
CONVNET = ConvNetSettings(kind="convnet", channels=(4, 5), dropout=0.2)
RESNET = ResNetSettings(kind="resnet", channels=(3, 4), blocks=1)
RECIPE = Recipe(
    learning_rate=0.05, weight_decay=1e-2, momentum=0.9, batch_size=16, epochs=3, batch_seed=5, noise_seed=6
)


def some_data(images: int = 61, validation: int = 23) -> TrainingData:
    random = np.random.default_rng(0)
    return TrainingData(
        torch.from_numpy(random.integers(0, 256, (images, *SHAPE), dtype=np.uint8)),
        torch.from_numpy(random.integers(0, CLASSES, images)),
        torch.from_numpy(random.integers(0, 256, (validation, *SHAPE), dtype=np.uint8)),
        torch.from_numpy(random.integers(0, CLASSES, validation)),
    )


DATA = some_data()


def some_classifier(network: NetworkSettings) -> Classifier:
    return build_classifier(network, SHAPE, CLASSES, STATS, seed=0).double()


def trained(training: Training, first: int = 1) -> list[EpochRecord]:
    return [training.train_epoch(epoch) for epoch in range(first, training.recipe.epochs + 1)]


def weights_of(training: Training) -> dict[str, Tensor]:
    return training.kept.state_dict()


recipes = st.builds(
    dataclasses.replace,
    st.just(RECIPE),
    optimizer=st.sampled_from(["sgd", "adam", "adamw"]),
    schedule=st.sampled_from(["constant", "step", "cosine"]),
    warmup=st.sampled_from([0.0, 0.3]),
    augmentation=st.sampled_from(["none", "flip", "crop", "flip_crop"]),
    weight_decay=st.sampled_from([0.0, 1e-2]),
    learning_rate=st.sampled_from([0.05, 1e9]),  # at the second most networks diverge
)


@dataclasses.dataclass
class Oracle:
    """One linear layer in numpy: smoothed labels, SGD with momentum, averaged weights."""

    weight: Any
    bias: Any
    velocity: Any = 0.0
    averaged: Any = None

    def step(self, x: Any, y: Any, smoothing: float, decay: float) -> float:
        scores = x @ self.weight.T + self.bias
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        true = np.eye(CLASSES)[y]
        wanted = (1 - smoothing) * true + smoothing / CLASSES
        d_scores = (probabilities - wanted) / len(y)
        gradient = np.column_stack([d_scores.T @ x + RECIPE.weight_decay * self.weight, d_scores.sum(axis=0)])
        self.velocity = RECIPE.momentum * self.velocity + gradient
        self.weight = self.weight - RECIPE.learning_rate * self.velocity[:, :-1]
        self.bias = self.bias - RECIPE.learning_rate * self.velocity[:, -1]
        now = np.column_stack([self.weight, self.bias])
        self.averaged = now if self.averaged is None else decay * self.averaged + (1 - decay) * now
        return float(-np.log((probabilities * true).sum(axis=1)).mean())


def linear_classifier() -> Classifier:
    classifier = some_classifier(MlpSettings(kind="mlp", depth=1, width=3))
    classifier.network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(60, CLASSES).double())
    return classifier


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_smoothed_labels_and_averaged_weights_are_what_numpy_does_by_hand(smoothing: float, decay: float) -> None:
    classifier = linear_classifier()
    linear = classifier.network[1]  # type: ignore[index]
    oracle = Oracle(linear.weight.detach().numpy().copy(), linear.bias.detach().numpy().copy())
    options = TrainingOptions(loss=smoothed_cross_entropy(smoothing), weight_averaging=decay)
    training = Training(classifier, DATA, RECIPE, options)
    x = ((DATA.train_pixels.numpy().astype(np.float64) - SHIFT) / SCALE).transpose(0, 3, 1, 2).reshape(61, -1)
    x_validation = ((DATA.validation_pixels.numpy() - np.array(SHIFT)) / SCALE).transpose(0, 3, 1, 2).reshape(23, -1)
    for record in trained(training):
        losses = [
            oracle.step(x[batch], DATA.train_labels.numpy()[batch], smoothing, decay) * len(batch)
            for batch in map(Tensor.numpy, shuffled_batches(61, RECIPE.batch_size, RECIPE.batch_seed, record.epoch))
        ]
        penalty = RECIPE.weight_decay / 2 * float((oracle.weight**2).sum())
        assert record.train_loss == pytest.approx(sum(losses) / 61 + penalty, rel=1e-9)
        weights = oracle.averaged if decay else np.column_stack([oracle.weight, oracle.bias])
        scores = torch.from_numpy(x_validation @ weights[:, :-1].T + weights[:, -1])
        loss = functional.cross_entropy(scores, DATA.validation_labels)
        assert record.validation_loss == pytest.approx(loss.item(), rel=1e-9)
    kept = training.kept.network[1]  # type: ignore[index]
    np.testing.assert_allclose(np.column_stack([kept.weight.detach(), kept.bias.detach()]), weights, rtol=1e-9)


def test_batch_norms_running_averages_are_averaged_too() -> None:
    """After the first step they are the network's own, after the second half way between the two."""
    recipe = dataclasses.replace(RECIPE, batch_size=31, epochs=1)  # two steps
    plain, averaged = (
        Training(some_classifier(CONVNET), DATA, recipe, TrainingOptions(weight_averaging=decay))
        for decay in (0.0, 0.5)
    )
    seen: list[Tensor] = []
    plain.classifier.network.get_submodule("norm1").register_forward_hook(
        lambda layer, *_: seen.append(layer.running_mean.clone()) if layer.training else None
    )
    plain.train_epoch(1)
    averaged.train_epoch(1)
    first, second = seen
    kept = averaged.kept.get_submodule("network").get_buffer("norm1.running_mean")
    torch.testing.assert_close(kept, (first + second) / 2, rtol=1e-12, atol=1e-12)


all_options = st.builds(
    TrainingOptions,
    loss=st.sampled_from([0.0, 0.1]).map(smoothed_cross_entropy),
    weight_averaging=st.sampled_from([0.0, 0.8]),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(recipes, all_options, st.sampled_from([MLP, CONVNET, RESNET]), st.integers(1, 2))
def test_a_training_goes_on_from_its_state_as_if_it_had_never_stopped(
    recipe: Recipe, options: TrainingOptions, network: NetworkSettings, stopped_after: int
) -> None:
    """To the last bit."""
    whole = Training(some_classifier(network), DATA, recipe, options)
    expected = trained(whole)
    begun = Training(some_classifier(network), DATA, recipe, options)
    first = [begun.train_epoch(epoch) for epoch in range(1, stopped_after + 1)]
    state = begun.state()
    begun.train_epoch(stopped_after + 1)  # the state is a copy
    again = Training(some_classifier(network), DATA, recipe, options, state=state)
    assert first + trained(again, stopped_after + 1) == expected
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(again)[name], value, rtol=0, atol=0, equal_nan=True)


def test_the_loss_and_the_step_that_are_given_are_those_that_train() -> None:
    """A loss of the wrong sign climbs; the step sees each batch, penalty included, and the record the cross-entropy."""
    seen: list[float] = []

    def counted(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        seen.append(loss.item())
        gradient_step(optimizer, loss)

    climbing = TrainingOptions(loss=lambda scores, labels: -functional.cross_entropy(scores, labels), step=counted)
    recipe = dataclasses.replace(RECIPE, learning_rate=1e-3, batch_size=61, epochs=2)
    training = Training(linear_classifier(), DATA, recipe, climbing)
    penalties = []
    records = []
    for epoch in (1, 2):
        penalties.append(RECIPE.weight_decay / 2 * sum(float(w.square().sum()) for w in training.phase.weights))
        records.append(training.train_epoch(epoch))
    assert len(seen) == 2
    after = RECIPE.weight_decay / 2 * sum(float(w.square().sum()) for w in training.phase.weights)
    losses = [record.train_loss - p for record, p in zip(records, [penalties[1], after], strict=True)]  # type: ignore[operator]
    assert losses[1] > losses[0]
    assert seen == pytest.approx([penalty - loss for penalty, loss in zip(penalties, losses, strict=True)])


def test_products_in_bfloat16_round_and_learn_as_in_float32() -> None:
    recipe = dataclasses.replace(RECIPE, augmentation="flip_crop")
    curves = []
    for arithmetic in (Arithmetic("cpu", "float32"), Arithmetic("cpu", "bfloat16")):
        classifier = build_classifier(CONVNET, SHAPE, CLASSES, STATS, seed=0)
        curves.append(trained(Training(classifier, DATA, recipe, TrainingOptions(arithmetic=arithmetic))))
    for exact, rounded in zip(*curves, strict=True):
        assert rounded.train_loss == pytest.approx(exact.train_loss, rel=0.03)
        assert rounded.train_loss != exact.train_loss
