"""S3: a network that can learn can learn 20 samples by heart."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.schemas.checks import CheckSettings, Verdict
from sanefit.components.foundation.training.loop.gradient_step import Step, gradient_step
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import short_training

SAMPLES = 20
DEFAULTS = CheckSettings()
# The lecture uses 1e-3 on pixels 0-255; normalized pixels need about 100 times more.
RATES = (1e-1, 3e-2, 3e-1, 1e-2, 1e-3, 1.0, 3e-3, 1e-4, 3.0)
LAST_PART = 0.25  # of the epochs
STILL_FALLING = 0.05  # of the loss, over the last part


@dataclass(frozen=True)
class Overfitted:
    """Loss and accuracy on the samples after training; (inf, 0) when it exploded.

    ``falling``: how much of its loss the last quarter of the epochs took away, at most 1.
    """

    loss: float
    accuracy: float
    falling: float = 0.0


def check_few_samples(setup: Setup) -> Measurement:
    """The network without its dropout, on 20 images of the training split."""
    chosen = overfit_samples(setup.train_labels)
    pixels, labels = setup.train_pixels[chosen], setup.train_labels[chosen]
    return check_overfit(setup.copy(dropout=False), pixels, labels, setup.thresholds, setup.step)


def check_overfit(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    settings: CheckSettings = DEFAULTS,
    step: Step = gradient_step,
) -> Measurement:
    """Train on 20 samples, all at once, by plain SGD on the cross-entropy without regularization, at several rates.

    Passes at the first rate that reaches the loss asked for, by default 0.01, with accuracy 1 in the epochs asked
    for, by default 200, as in the lecture. Warns when accuracy 1 was reached but not that loss, or when the loss was
    still falling at the end ("not yet"); fails otherwise ("cannot fit").

    Args:
        classifier: freshly initialized, without dropout; it is not changed.
        pixels: uint8 (samples, height, width, channels).
        labels: int64 (samples,).
        settings: loss and epochs.
        step: of the training.
    """
    best, best_rate = Overfitted(math.inf, 0.0), RATES[0]
    for rate in RATES:
        got = overfit(copy.deepcopy(classifier), pixels, labels, rate, settings.overfit_epochs, step)
        if (got.accuracy, -got.loss) > (best.accuracy, -best.loss):
            best, best_rate = got, rate
        if best.loss < settings.overfit_loss and best.accuracy == 1:
            break
    verdict, fix = _judge(best, settings)
    return Measurement(
        verdict=verdict,
        measured=f"loss {best.loss:.4f}, accuracy {best.accuracy:.2f} at learning rate {best_rate:g}",
        expected=f"loss below {settings.overfit_loss:g}, accuracy 1.00 within {settings.overfit_epochs} epochs "
        f"at one of {len(RATES)} rates",
        fix=fix,
        title=f"{len(labels)} samples can be overfitted",
    )


def _judge(best: Overfitted, settings: CheckSettings) -> tuple[Verdict, str]:
    if best.accuracy == 1 and best.loss < settings.overfit_loss:
        return "pass", ""
    if best.accuracy == 1 and best.falling > STILL_FALLING:
        return "warn", "it fits, slowly: a wider network or normalized pixels would fit faster"
    if best.accuracy == 1:
        return "warn", (
            "it cannot fit further, though every sample is right: the scores are bounded; is there a tanh or another "
            "activation after the output layer?"
        )
    if best.falling > STILL_FALLING:
        return "warn", (
            f"not yet: the loss still fell by {best.falling:.0%} in the last quarter of the epochs; raise "
            "checks.overfit_epochs to see whether it fits, or use batch norm, another network.init or normalized pixels"
        )
    return "fail", (
        "the network cannot fit even these, and its loss no longer falls: check network.init, the activations, the "
        "loss, the labels and the data"
    )


def overfit_samples(labels: Tensor) -> Tensor:
    """Indices of the 20 samples, int64: taken from the classes in turn, so that rare ones are among them.

    Args:
        labels: int64 (images,), of the training split.
    """
    order = torch.argsort(labels, stable=True)
    ordered = labels[order]
    rank_in_class = torch.arange(len(labels)) - torch.searchsorted(ordered, ordered)
    turns = torch.argsort(rank_in_class, stable=True)
    return order[turns[:SAMPLES]]


def overfit(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    rate: float,
    epochs: int = DEFAULTS.overfit_epochs,
    step: Step = gradient_step,
) -> Overfitted:
    """Train on the samples by full-batch steps, in place, and look at them again."""
    training = short_training(classifier, pixels, labels, rate, loss=functional.cross_entropy, step=step)
    everything = torch.arange(len(labels))
    before_last_part = math.inf
    for epoch in range(epochs):
        loss, _ = training.step(everything, rate)
        if not math.isfinite(loss.item()):
            return Overfitted(math.inf, 0.0)
        if epoch == int((1 - LAST_PART) * epochs):
            before_last_part = loss.item()
    with torch.no_grad():
        scores = classifier(pixels)
    after = functional.cross_entropy(scores, labels).item()
    if not math.isfinite(after):
        return Overfitted(math.inf, 0.0)
    accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
    falling = (before_last_part - after) / before_last_part if 0 < before_last_part < math.inf else 0.0
    return Overfitted(after, accuracy, falling)
