"""The temperature that makes probabilities true, against a search over a grid and against known distortions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.diagnosis.calibration import HIGHEST, LOWEST, calibration_error, fit_temperature


def drawn(seed: int, images: int, classes: int) -> tuple[Tensor, Tensor]:
    """Scores whose softmax is the truth: labels are drawn from it."""
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(images, classes, generator=generator)
    return scores, torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_scores_that_were_multiplied_are_divided_again(factor: float) -> None:
    scores, labels = drawn(0, 20_000, 5)
    assert fit_temperature(scores * factor, labels) == pytest.approx(factor, rel=0.05)


def test_an_overconfident_model_is_as_right_as_it_says_on_other_images() -> None:
    scores, labels = drawn(1, 8000, 4)
    scores, temperature = scores * 5, fit_temperature(scores[:4000] * 5, labels[:4000])

    def error(used: Tensor) -> float:
        sure, called = used.softmax(1).max(1)
        return calibration_error((called == labels[4000:]).numpy(), sure.numpy())

    assert error(scores[4000:]) > 0.2
    assert error(scores[4000:] / temperature) < 0.03


@given(seed=st.integers(0, 1000), images=st.integers(2, 200), classes=st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_no_temperature_of_a_grid_has_a_lower_loss(seed: int, images: int, classes: int) -> None:
    scores, labels = drawn(seed, images, classes)

    def loss(temperature: float) -> float:
        smoothing = 1 / (images + 1)
        return functional.cross_entropy(scores.double() / temperature, labels, label_smoothing=smoothing).item()

    found = fit_temperature(scores, labels)
    assert LOWEST <= found <= HIGHEST
    assert loss(found) <= min(loss(temperature) for temperature in np.geomspace(LOWEST, HIGHEST, 200)) + 1e-6


def test_images_that_are_all_right_leave_room_for_doubt() -> None:
    labels = torch.arange(100) % 3
    scores = 10 * functional.one_hot(labels, 3).float()
    sure = (scores / fit_temperature(scores, labels)).softmax(1).max().item()
    assert 0.99 < sure < 0.999


def test_scores_that_are_not_finite_are_left_as_they_are() -> None:
    assert fit_temperature(torch.tensor([[torch.inf, 0.0]]), torch.tensor([0])) == 1.0
