"""Training on a few samples until they are known by heart."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.training.loop.gradient_step import Step, gradient_step
from sanefit.components.sanity_checks.short_training import Descent, short_training
from sanefit.components.sanity_checks.zero_start import zero_parts

DEFAULTS = CheckSettings()
PLAIN: tuple[OptimizerKind, float] = ("sgd", 0.0)
LAST_PART = 0.25  # of the epochs
FLAT_EPOCHS, FLAT = 50, 0.01  # a loss that has not fallen by this share in so many will not


@dataclass(frozen=True)
class Overfitted:
    """Loss and accuracy on the samples after training; (inf, 0) when it exploded.

    ``falling``: how much of its loss the last quarter of the epochs took away, at most 1. ``epochs``: that it took.
    """

    loss: float
    accuracy: float
    falling: float = 0.0
    epochs: int = 0


def overfit(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    rate: float,
    epochs: int = DEFAULTS.overfit_epochs,
    step: Step = gradient_step,
    how: tuple[OptimizerKind, float] = PLAIN,
    enough: float = 0.0,
) -> Overfitted:
    """Train on the samples by full-batch steps, in place, and look at them again.

    Args:
        classifier, pixels, labels: as for ``check_overfit``.
        rate: constant.
        epochs: at most.
        step: of the training.
        how: optimizer and momentum.
        enough: a loss below which it ends before, where every sample is right.
    """
    training = short_training(
        classifier,
        pixels,
        labels,
        rate,
        loss=functional.cross_entropy,
        step=step,
        descent=Descent(*how),
    )
    everything = torch.arange(len(labels))
    patient = bool(zero_parts(classifier))  # it leaves a saddle, where the loss is flat at first
    losses: list[float] = []
    for _ in range(epochs):
        loss, right = training.step(everything, rate)
        if not math.isfinite(loss.item()):
            return Overfitted(math.inf, 0.0, epochs=len(losses) + 1)
        losses.append(loss.item())
        if loss.item() < enough and right.item() == len(labels):
            break
        if (
            not patient
            and len(losses) > FLAT_EPOCHS
            and enough
            and min(losses[-FLAT_EPOCHS:]) > (1 - FLAT) * min(losses[:-FLAT_EPOCHS])
        ):
            break
    with torch.no_grad():
        scores = classifier(pixels)
    after = functional.cross_entropy(scores, labels).item()
    if not math.isfinite(after):
        return Overfitted(math.inf, 0.0, epochs=len(losses))
    accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
    before = losses[int((1 - LAST_PART) * len(losses))]
    falling = (before - after) / before if before > 0 else 0.0
    return Overfitted(after, accuracy, falling, len(losses))
