"""Products in float16, with a scaled loss, against float32; on the CPU, which has both."""

import dataclasses
from typing import Any

import pytest
import torch
from test_gradient_settings import assert_goes_on
from test_training_options import DATA, RECIPE, RESNET, STATS, trained

from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.machine.arithmetic import Arithmetic
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_options import TrainingOptions

FLOAT16 = TrainingOptions(arithmetic=Arithmetic("cpu", "float16"), weight_averaging=0.8)


def float16_training(state: Any = None, **recipe: Any) -> Training:
    classifier = build_classifier(RESNET, (4, 5, 3), 3, STATS, seed=0)
    return Training(classifier, DATA, dataclasses.replace(RECIPE, batch_size=8, **recipe), FLOAT16, state=state)


@pytest.mark.parametrize("extra", [{}, {"gradient_clip": 0.5}, {"accumulate": 3, "optimizer": "adam"}], ids=str)
def test_float16_learns_as_float32(extra: dict[str, Any]) -> None:
    classifier = build_classifier(RESNET, (4, 5, 3), 3, STATS, seed=0)
    recipe = dataclasses.replace(RECIPE, batch_size=8, **extra)
    exact = trained(Training(classifier, DATA, recipe, TrainingOptions(weight_averaging=0.8)))
    for record, expected in zip(trained(float16_training(**extra)), exact, strict=True):
        assert record.train_loss == pytest.approx(expected.train_loss, rel=0.03)
        assert record.train_loss != expected.train_loss


@pytest.mark.parametrize("extra", [{}, {"gradient_clip": 0.5, "optimizer": "adam"}, {"accumulate": 2}], ids=str)
def test_float16_goes_on_with_its_scale(extra: dict[str, Any]) -> None:
    assert_goes_on(lambda state: float16_training(state, **extra), 6)


def test_a_step_that_float16_cannot_hold_is_left_out_and_the_scale_falls() -> None:
    """Nor does Adam count it, before or after the training was interrupted."""
    training = float16_training(optimizer="adam")
    training.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = {name: value.clone() for name, value in training.classifier.network.named_parameters()}
    training.step(torch.arange(8), 0.1)
    for name, value in training.classifier.network.named_parameters():
        assert torch.equal(value, before[name])
    for _ in range(60):
        training.step(torch.arange(8), 0.1)
    state = training.state()
    assert state.scaling["scale"] < 2.0**40
    assert state.taken is not None
    assert 0 < state.taken < state.steps == 61
    again = float16_training(state, optimizer="adam").state()
    assert (again.taken, again.scaling) == (state.taken, state.scaling)
