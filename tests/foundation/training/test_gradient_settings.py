"""What is done to gradients before a step, and further steps, against numpy."""

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training_options import (
    CONVNET,
    DATA,
    MLP,
    RECIPE,
    SCALE,
    SHIFT,
    STATS,
    linear_classifier,
    some_classifier,
    trained,
    weights_of,
)

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.training.loop.gradient_step import InGroup, in_group
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.foundation.training.stacks.stacks import start_training
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

X = ((DATA.train_pixels.numpy().astype(np.float64) - SHIFT) / SCALE).transpose(0, 3, 1, 2).reshape(61, -1)
Y = np.eye(3)[DATA.train_labels.numpy()]


def same_classifier() -> Classifier:
    """One linear layer, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return linear_classifier()


def gradients_of(weight: Any, bias: Any, batch: Any, decay: float) -> tuple[Any, Any]:
    """Of a linear layer, its penalty included."""
    scores = X[batch] @ weight.T + bias
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    d_scores = (probabilities - Y[batch]) / len(batch)
    return d_scores.T @ X[batch] + decay * weight, d_scores.sum(axis=0)


def by_numpy(recipe: Recipe, step: Any) -> tuple[Any, Any]:
    """Weight and bias of the linear classifier; ``step(number, gradients, values)`` gives how each is changed."""
    linear = same_classifier().network[1]  # type: ignore[index]
    values = [linear.weight.detach().numpy().copy(), linear.bias.detach().numpy().copy()]
    number = 0
    penalized = recipe.weight_decay if recipe.optimizer == "sgd" else 0.0
    for epoch in range(1, recipe.epochs + 1):
        for batch in shuffled_batches(61, recipe.batch_size, recipe.batch_seed, epoch):
            number += 1
            changes = step(number, gradients_of(*values, batch.numpy(), penalized), values)
            values = [value - change for value, change in zip(values, changes, strict=True)]
    return values[0], values[1]


def assert_trained_as(recipe: Recipe, expected: tuple[Any, Any]) -> None:
    training = Training(same_classifier(), DATA, recipe)
    trained(training)
    linear = training.classifier.network[1]  # type: ignore[index]
    np.testing.assert_allclose(linear.weight.detach(), expected[0], rtol=1e-8)
    np.testing.assert_allclose(linear.bias.detach(), expected[1], rtol=1e-8)


def test_nesterov_looks_ahead_along_the_velocity() -> None:
    recipe = dataclasses.replace(RECIPE, nesterov=True)
    velocity = [np.zeros(()), np.zeros(())]

    def step(_: int, gradients: Any, __: Any) -> list[Any]:
        velocity[:] = [recipe.momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
        return [recipe.learning_rate * (g + recipe.momentum * v) for v, g in zip(velocity, gradients, strict=True)]

    assert_trained_as(recipe, by_numpy(recipe, step))


@pytest.mark.parametrize("longest", [0.05, 1.0, 1e6])
def test_the_gradient_of_all_weights_together_is_cut_to_its_longest(longest: float) -> None:
    recipe = dataclasses.replace(RECIPE, momentum=0.0, gradient_clip=longest)

    def step(_: int, gradients: Any, __: Any) -> list[Any]:
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        return [recipe.learning_rate * gradient * min(1.0, longest / (norm + 1e-6)) for gradient in gradients]

    assert_trained_as(recipe, by_numpy(recipe, step))


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_lamb_is_the_papers(weight_decay: float) -> None:
    """You et al. 2020, algorithm 2: decay beside the moments, and the weight's norm over that of its step; not of a
    bias, which neither decays.
    """
    pytest.importorskip("timm")
    recipe = dataclasses.replace(RECIPE, optimizer="lamb", learning_rate=0.01, weight_decay=weight_decay)
    means, squares = [np.zeros(()), np.zeros(())], [np.zeros(()), np.zeros(())]

    def step(number: int, gradients: Any, values: Any) -> list[Any]:
        means[:] = [0.9 * m + 0.1 * g for m, g in zip(means, gradients, strict=True)]
        squares[:] = [0.999 * v + 0.001 * g**2 for v, g in zip(squares, gradients, strict=True)]
        along = [
            m / (1 - 0.9**number) / (np.sqrt(v / (1 - 0.999**number)) + 1e-6)
            for m, v in zip(means, squares, strict=True)
        ]
        weights = along[0] + weight_decay * values[0]
        trust = np.linalg.norm(values[0]) / np.linalg.norm(weights)
        return [recipe.learning_rate * trust * weights, recipe.learning_rate * along[1]]

    assert_trained_as(recipe, by_numpy(recipe, step))


def test_lamb_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm.optim.lamb", None)
    with pytest.raises(SettingsError, match=r"^optimizer\.kind='lamb': timm is not installed.*; expected .*; install"):
        Training(same_classifier(), DATA, dataclasses.replace(RECIPE, optimizer="lamb"))


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["sgd", "adam", "adamw"]),
    st.sampled_from([0.0, 0.3]),
    st.integers(2, 5),
    st.integers(12, 30),
)
def test_batches_that_are_added_up_are_one_large_batch(
    optimizer: str, clip: float, accumulate: int, batch_size: int
) -> None:
    """Where one step takes all images; sizes differ by one, and each image counts the same."""
    batches = len(shuffled_batches(61, batch_size, 5, 1))
    if batches > accumulate:
        batch_size, batches = 31, 2
    shared = {"optimizer": optimizer, "gradient_clip": clip, "epochs": 4}
    small = dataclasses.replace(RECIPE, **shared, batch_size=batch_size, accumulate=max(accumulate, batches))
    options = TrainingOptions(weight_averaging=0.8)
    whole = Training(same_classifier(), DATA, dataclasses.replace(RECIPE, **shared, batch_size=61), options)
    added = Training(same_classifier(), DATA, small, options)
    for record, expected in zip(trained(added), trained(whole), strict=True):
        known = expected.model_dump(exclude={"learning_rate", "validation_recall"})
        assert record.model_dump(include=set(known)) == pytest.approx(known, rel=1e-7)
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(added)[name], value, rtol=1e-6, atol=1e-9)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 7))
def test_every_batch_is_in_one_group_and_the_last_steps(sizes: list[int], accumulate: int) -> None:
    groups = [in_group(sizes, number, accumulate) for number in range(len(sizes))]
    assert [number for number, group in enumerate(groups) if group.is_first] == list(range(0, len(sizes), accumulate))
    assert groups[-1].is_last
    assert sum(group.is_last for group in groups) == -(-len(sizes) // accumulate)
    assert sum(group.share for group in groups) == pytest.approx(-(-len(sizes) // accumulate))
    if accumulate == 1:
        assert set(groups) == {InGroup()}


EXTRAS: list[dict[str, Any]] = [
    {"nesterov": True},
    {"gradient_clip": 0.5, "optimizer": "adam"},
    {"accumulate": 3, "optimizer": "adam"},
    {"optimizer": "lamb", "gradient_clip": 1.0},
    {"mixup": 0.5, "cutmix": 1.0, "erasing": 0.5},
    {"augmentation": "trivial_augment"},
    {"accumulate": 2, "mixup": 1.0, "optimizer": "lamb", "augmentation": "rand_augment"},
]


class StoppedError(Exception):
    """Where the training ended."""


@pytest.mark.parametrize("extra", EXTRAS, ids=str)
@pytest.mark.parametrize("stopped_after", [1, 2, 5])
def test_a_training_goes_on_in_mid_epoch_to_the_last_bit(extra: dict[str, Any], stopped_after: int) -> None:
    recipe = dataclasses.replace(RECIPE, batch_size=8, **extra)
    options = TrainingOptions(weight_averaging=0.8)
    assert_goes_on(lambda state: Training(some_classifier(CONVNET), DATA, recipe, options, state=state), stopped_after)


def assert_goes_on(started: Any, stopped_after: int) -> None:
    """``stopped_after``: chances to stop."""
    whole, begun = started(None), started(None)
    expected = trained(whole)
    left = [stopped_after]

    def stop() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise StoppedError

    records = []
    with pytest.raises(StoppedError):
        for epoch in range(1, 4):
            records.append(begun.train_epoch(epoch, stop))
    state = begun.state()
    again = started(state)
    assert records + trained(again, state.epochs + 1) == expected
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(again)[name], value, rtol=0, atol=0)


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.floats(1e-3, 0.05), st.sampled_from([0.0, 0.1]), st.sampled_from([0.5, 0.9])),
        min_size=1,
        max_size=3,
    )
)
@pytest.mark.parametrize("engine", ["stacked", "vmapped"])
def test_a_stack_looks_ahead_as_the_loop_does(engine: Any, drawn: list[tuple[float, float, float]]) -> None:
    problem = Problem((4, 5, 3), 3, STATS, dtype=torch.float64)
    names = ("learning_rate", "weight_decay", "momentum")
    recipes = [dataclasses.replace(RECIPE, nesterov=True, **dict(zip(names, one, strict=True))) for one in drawn]
    trials = [Trial(MLP, recipe, seed) for seed, recipe in enumerate(recipes)]
    stack = start_training(engine, trials, problem, DATA)
    alone = start_training("loop", trials, problem, DATA)
    for epoch in (1, 2, 3):
        found, expected = stack.train_epoch(epoch), alone.train_epoch(epoch)
        for number, record in expected.items():
            known = record.model_dump(exclude={"validation_recall"})
            assert found[number].model_dump(include=set(known)) == pytest.approx(known, rel=1e-8)
