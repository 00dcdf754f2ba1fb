"""The check of the gradient step examines the trainer itself, not a step of its own."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.schemas.networks import MlpSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.training.loop import training
from sanefit.components.foundation.training.loop.optimizers import set_learning_rate
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.sanity_checks.checks.gradient_steps import check_gradient_step
from sanefit.components.sanity_checks.setup import Setup

STATS = ChannelStats(
    normalization="channel_mean_std", images=1, mean=[120.0], std=[70.0], shift=[120.0], scale=[70.0], histogram=[]
)


def sound() -> Setup:
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (64, 4, 4, 1), dtype=np.uint8))
    labels = torch.from_numpy(random.integers(0, 3, 64))
    classifier = build_classifier(MlpSettings(kind="mlp", depth=1, width=8), (4, 4, 1), 3, STATS, seed=0)
    return Setup(classifier, 3, pixels, labels, pixels, labels)


def test_what_is_checked_is_what_trains() -> None:
    assert (Setup.loss, Setup.step) == (TrainingOptions.loss, TrainingOptions.step)
    assert check_gradient_step(sound()).verdict == "pass"


def climbing(optimizer: torch.optim.Optimizer, rate: float) -> None:
    set_learning_rate(optimizer, -rate)


def standing(optimizer: torch.optim.Optimizer, _: float) -> None:
    set_learning_rate(optimizer, 0.0)


@pytest.mark.parametrize(("broken", "words"), [(climbing, "the step climbs"), (standing, "no weight moves")])
def test_a_trainer_that_sets_its_rate_wrong_is_found(
    broken: Callable[[torch.optim.Optimizer, float], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "set_learning_rate", broken)
    found = check_gradient_step(sound())
    assert found.verdict == "fail"
    assert words in found.measured


def test_a_trainer_that_penalizes_what_was_not_asked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    weigh = torch.tensor(100.0)
    monkeypatch.setattr(
        Training,
        "_penalty",
        lambda self, **_: weigh * torch.stack([w.square().sum() for w in self.phase.weights]).sum(),
    )
    assert "the step goes elsewhere" in check_gradient_step(sound()).measured


class RootOfZero(torch.nn.Module):
    """Distances of features to themselves: finite, with an infinite slope."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(16, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scores = self.layer(pixels.flatten(1).float() / 255)
        return scores + ((scores - scores) ** 2).sum(1, keepdim=True).sqrt()


def test_a_gradient_that_is_not_finite_is_said() -> None:
    gate = check_gradient_step(replace(sound(), classifier=RootOfZero()))
    assert gate.verdict == "fail"
    assert "not finite" in gate.measured
    assert "root" in gate.fix
