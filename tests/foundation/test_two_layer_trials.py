"""Networks trained together, against autograd on each alone."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from components.foundation.image_dataset.batches import shuffled_batches
from components.foundation.training import two_layer_trials
from components.foundation.training.two_layer_trials import TwoLayerTrial, is_finite, train_two_layer_trials

HIDDEN, CLASSES, BATCH = 7, 4, 16
RANDOM = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (90, 3, 3, 2), dtype=torch.uint8, generator=RANDOM)
LABELS = torch.randint(0, CLASSES, (90,), generator=RANDOM)
SHIFT = torch.full((18,), 127.0)


def trained(trials: list[TwoLayerTrial], epochs: int = 3, **changes: Any) -> list[Any]:
    data = {"train_pixels": PIXELS[:70], "train_labels": LABELS[:70]}
    held_out = {"validation_pixels": PIXELS[70:], "validation_labels": LABELS[70:]}
    sizes = {"classes": CLASSES, "hidden": HIDDEN, "batch_size": BATCH, "epochs": epochs, "seed": 5}
    return train_two_layer_trials(trials, shift=SHIFT, **{**data, **held_out, **sizes, **changes})


def alone(trial: TwoLayerTrial, epochs: int = 3) -> tuple[list[float], list[float]]:
    """Losses and validation accuracies of one network, by autograd in float64."""
    random = torch.Generator().manual_seed(trial.seed)
    first = (1e-4 * torch.randn(18, HIDDEN, generator=random)).double()
    second = (1e-4 * torch.randn(HIDDEN, CLASSES, generator=random)).double()
    w1, w2 = nn.Parameter(first), nn.Parameter(second)
    b1, b2 = nn.Parameter(torch.zeros(HIDDEN).double()), nn.Parameter(torch.zeros(CLASSES).double())
    optimizer = torch.optim.SGD([w1, b1, w2, b2], lr=trial.learning_rate)

    def scores(pixels: Tensor) -> Tensor:
        inputs = pixels.flatten(1).double() - SHIFT
        return torch.relu(inputs @ w1 + b1) @ w2 + b2

    losses, accuracies = [], []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for indices in shuffled_batches(70, BATCH, 5, epoch):
            loss = functional.cross_entropy(scores(PIXELS[indices]), LABELS[indices])
            loss = loss + 0.5 * trial.weight_decay * (w1.square().sum() + w2.square().sum())
            total += loss.item() * len(indices)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(total / 70)
        accuracies.append((scores(PIXELS[70:]).argmax(1) == LABELS[70:]).double().mean().item())
    return losses, accuracies


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.builds(TwoLayerTrial, st.floats(1e-6, 3e-4), st.floats(0, 10.0), st.integers(0, 9)), min_size=1, max_size=6
    )
)
def test_each_trial_learns_as_it_would_alone(trials: list[TwoLayerTrial]) -> None:
    for trial, curve in zip(trials, trained(trials), strict=True):
        losses, _ = alone(trial)
        assert curve.losses == pytest.approx(losses, rel=1e-4)


def test_accuracies_are_those_of_the_network_alone() -> None:
    trial = TwoLayerTrial(2e-3, 1e-3, 1)
    [curve] = trained([trial], epochs=8)
    _, accuracies = alone(trial, epochs=8)
    assert curve.validation_accuracies == pytest.approx(accuracies, abs=1e-6)
    assert curve.validation_parts == [[pytest.approx(a, abs=1e-6)] for a in accuracies]


def test_one_that_explodes_leaves_its_neighbours_as_they_are() -> None:
    sound = [TwoLayerTrial(1e-4, 1e-3, seed) for seed in range(3)]
    mixed = [sound[0], TwoLayerTrial(1e6, 1e-3, 9), *sound[1:]]
    curves = trained(mixed)
    assert not is_finite(curves[1])
    del curves[1]
    for curve, reference in zip(curves, trained(sound), strict=True):
        assert curve.losses == pytest.approx(reference.losses, rel=1e-6)


def test_an_infinite_rate_of_decay_is_not_hidden() -> None:
    [curve] = trained([TwoLayerTrial(1.0, 1e9, 0)], epochs=6)
    assert not is_finite(curve)
    assert curve.validation_accuracies[-1] == 0


def test_parts_are_a_thousand_images_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_layer_trials, "EVALUATION_BATCH", 8)
    [curve] = trained([TwoLayerTrial(1e-3, 0.0, 0)])
    for parts, whole in zip(curve.validation_parts, curve.validation_accuracies, strict=True):
        assert len(parts) == 3
        assert (8 * parts[0] + 8 * parts[1] + 4 * parts[2]) / 20 == pytest.approx(whole)
        assert all(math.isfinite(part) for part in parts)
