"""S3: a network that can learn can learn 20 samples by heart."""

import copy
import math
import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanefit.components.foundation.schemas.checks import CheckSettings, Verdict
from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.training.loop.gradient_step import Step, gradient_step
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.checks.overfit_failure import through_one_number, why_it_cannot
from sanefit.components.sanity_checks.cost import OVERFIT, cost_of
from sanefit.components.sanity_checks.overfitting import DEFAULTS, PLAIN, Overfitted, overfit
from sanefit.components.sanity_checks.setup import Setup

SAMPLES = 20
# The lecture uses 1e-3 on pixels 0-255; normalized pixels need about 100 times more.
RATES = (1e-1, 3e-2, 3e-1, 1e-2, 1e-3, 1.0, 3e-3, 1e-4, 3.0)
ADAM_RATES = (1e-3, 3e-3, 3e-4, 1e-2, 1e-4)
LONGER = 5  # times the epochs, for a loss that still falls
FEWEST_EPOCHS = 10
STILL_FALLING = 0.05  # of the loss, over the last part


def check_few_samples(setup: Setup) -> Measurement:
    """What the search trains, without its dropout and other chance, on 20 images of the training split as they are.

    Gradients are not clipped, nor does SGD look ahead: neither decides whether these can be learned.
    """
    setup = setup.of_search
    chosen = overfit_samples(setup.train_labels)
    pixels, labels = setup.train_pixels[chosen], setup.train_labels[chosen]
    own = (setup.optimizer, setup.momentum)
    most = int(OVERFIT / (len(labels) * cost_of(setup).operations))
    return check_overfit(setup.copy(dropout=False), pixels, labels, setup.thresholds, setup.step, own, most)


def check_overfit(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    settings: CheckSettings = DEFAULTS,
    step: Step = gradient_step,
    own: tuple[OptimizerKind, float] = PLAIN,
    most_epochs: int | None = None,
) -> Measurement:
    """Train on 20 samples, all at once, on the cross-entropy without regularization, at several rates.

    By plain SGD first, as in the lecture, then by the run's own optimizer; at last the best of these goes on while its
    loss falls, for up to five times the epochs. Passes where accuracy is 1 and the loss as asked for, by default 0.01
    in 200 epochs; or still falling then ("fits, slowly"). Warns when accuracy 1 was reached but the loss stays, or when
    it fell to the end ("not yet"); fails otherwise ("cannot fit"). Unknown where the network is so costly that not all
    of this could be tried.

    Args:
        classifier: freshly initialized, without dropout; it is not changed.
        pixels: uint8 (samples, height, width, channels).
        labels: int64 (samples,).
        settings: loss and epochs.
        step: of the training.
        own: the run's optimizer, and its momentum.
        most_epochs: in all tries together; None: as many as they take.
    """
    tries = [(rate, PLAIN) for rate in RATES]
    if own != PLAIN:
        tries += [(rate, own) for rate in (RATES[:5] if own[0] == "sgd" else ADAM_RATES)]
    left = sys.maxsize if most_epochs is None else most_epochs
    best, cut = Attempt(Overfitted(math.inf, 0.0), *tries[0], 0), False
    for rate, how in tries:
        epochs = min(settings.overfit_epochs, max(left // 2, FEWEST_EPOCHS))  # half: one bad rate leaves some to others
        cut = cut or epochs < settings.overfit_epochs
        got = _attempt(classifier, pixels, labels, settings, step, rate, how, epochs)
        left -= got.got.epochs
        best = max(best, got, key=_goodness)
        if _fits(best.got, settings):
            break
        if left < FEWEST_EPOCHS:
            cut = cut or (rate, how) != tries[-1]
            break
    if not _fits(best.got, settings) and best.got.falling > STILL_FALLING:
        wanted = LONGER * settings.overfit_epochs
        cut = cut or wanted > left
        if left >= FEWEST_EPOCHS:
            longer = _attempt(classifier, pixels, labels, settings, step, best.rate, best.how, min(wanted, left))
            best = max(best, longer, key=_goodness)
    verdict, title, fix = _judge(best.got, settings)
    classes = len(labels.unique())
    reason = why_it_cannot(classifier, pixels, labels, classes) if verdict == "fail" else ""
    if verdict == "pass" and (narrow := through_one_number(classifier, pixels, classes)):
        verdict, fix = "warn", narrow
    if cut and verdict != "pass" and not reason:
        verdict, title, reason = (
            "unknown",
            "",
            "nothing to change yet: so costly a network gets too few tries and epochs here; the search will tell",
        )
    kind = "plain SGD" if best.how == PLAIN else f"{best.how[0]} with momentum {best.how[1]:g}"
    return Measurement(
        verdict=verdict,
        measured=f"loss {best.got.loss:.4f}, accuracy {best.got.accuracy:.2f} at learning rate {best.rate:g} "
        f"({kind}, {best.epochs} epochs)",
        expected=f"loss below {settings.overfit_loss:g}, accuracy 1.00 within {settings.overfit_epochs} epochs "
        f"at one of {len(RATES)} rates, or accuracy 1.00 and a loss that still falls",
        fix=reason or fix,
        title=f"{len(labels)} samples can be overfitted{title}",
    )


@dataclass(frozen=True)
class Attempt:
    """What came of training at a rate, by an optimizer with its momentum, for so many epochs at most."""

    got: Overfitted
    rate: float
    how: tuple[OptimizerKind, float]
    epochs: int


def _attempt(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    settings: CheckSettings,
    step: Step,
    rate: float,
    how: tuple[OptimizerKind, float],
    epochs: int,
) -> Attempt:
    twin = copy.deepcopy(classifier)
    got = overfit(twin, pixels, labels, rate, epochs, step, how, enough=settings.overfit_loss)
    return Attempt(got, rate, how, epochs)


def _goodness(attempt: Attempt) -> tuple[float, float]:
    return attempt.got.accuracy, -attempt.got.loss


def _fits(got: Overfitted, settings: CheckSettings) -> bool:
    return got.accuracy == 1 and got.loss < settings.overfit_loss


def _judge(best: Overfitted, settings: CheckSettings) -> tuple[Verdict, str, str]:
    """Verdict, what the title says more, and the fix."""
    if _fits(best, settings):
        return "pass", "", ""
    if best.accuracy == 1 and best.falling > STILL_FALLING:
        return "pass", ", slowly", ""
    if best.accuracy == 1:
        return (
            "warn",
            "",
            "every sample is right, but the loss cannot fit further, as where the scores are bounded: remove any tanh "
            "or other activation after the output layer",
        )
    if best.falling > STILL_FALLING:
        return (
            "warn",
            ": not yet",
            f"not yet: the loss still fell by {best.falling:.0%} in the last quarter of the epochs; raise "
            "checks.overfit_epochs to see whether it fits, or use batch norm, another network.init or normalized "
            "pixels",
        )
    return (
        "fail",
        "",
        "the network cannot fit even these, and its loss no longer falls: check network.init, the activations, the "
        "loss, the labels and the data",
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
