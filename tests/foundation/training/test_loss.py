import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sanefit.components.foundation.training.loop.loss import decayed_weights, penalty, regularized_loss

seeds = st.integers(0, 2**32 - 1)


def mean_cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


@pytest.mark.slow
@given(seeds, st.integers(1, 20), st.integers(2, 12), st.floats(0, 10), st.floats(0.01, 300))
def test_the_loss_is_mean_cross_entropy_plus_half_decay_times_squares(
    seed: int, images: int, classes: int, weight_decay: float, spread: float
) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(scale=spread, size=(images, classes))
    labels = random.integers(0, classes, images)
    weights = [random.normal(size=(3, 4)), random.normal(size=(2, 3, 3, 3))]
    expected = mean_cross_entropy(scores, labels) + 0.5 * weight_decay * sum(float((w**2).sum()) for w in weights)
    seen = regularized_loss(
        torch.from_numpy(scores), torch.from_numpy(labels), [torch.from_numpy(w) for w in weights], weight_decay
    )
    assert seen.shape == ()
    assert seen.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(seeds, st.floats(1e-6, 10))
def test_the_penalty_pulls_each_weight_by_decay_times_itself(seed: int, weight_decay: float) -> None:
    weight = torch.from_numpy(np.random.default_rng(seed).normal(size=(4, 5))).requires_grad_()
    penalty([weight], weight_decay).backward()
    assert weight.grad is not None
    np.testing.assert_allclose(weight.grad.numpy(), weight_decay * weight.detach().numpy(), rtol=1e-12)


def test_without_decay_only_the_cross_entropy_is_left() -> None:
    scores, labels = torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([2])
    assert regularized_loss(scores, labels, [torch.ones(3, 3)], 0.0).item() == pytest.approx(np.log(4))


def test_biases_and_norms_are_not_decayed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 2))
    expected = [network[0].weight, network[4].weight]
    seen = decayed_weights(network)
    assert len(seen) == 2
    assert all(a is b for a, b in zip(seen, expected, strict=True))


def test_the_penalty_reaches_the_weights_of_a_network_and_nothing_else() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for parameter in network.parameters():
        nn.init.constant_(parameter, 2.0)
    assert penalty(decayed_weights(network), 0.1).item() == pytest.approx(0.5 * 0.1 * 4 * (12 + 8))
