"""S1 and S2: the loss before any training; and whether the weight decays asked for drown it."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.foundation.training.loop.gradient_step import Loss
from sanefit.components.foundation.training.loop.loss import decayed_weights, penalty, regularized_loss
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import take_steps

IMAGES = 1000
WARN_OF_ONE_THAT_LEARNS, FAIL_ONE_THAT_LEARNS = 3.2, 4.0  # times the expected loss
RAISED_REGULARIZATION = 1e3  # the lecture's
FIRST_STEPS = (0.1, 3)  # rate and number
DROWNED_BEYOND = 10.0  # times the first loss


def check_first_loss(setup: Setup) -> Measurement:
    """S1: without regularization the first loss is that of a network that knows nothing.

    That is log K for equal probabilities, whatever the balance of the classes; where the output layer's biases
    start as the logarithms of the classes' shares (Lin et al. 2017), it is the entropy of the shares.
    A network that learned 20 samples by heart may be farther off: cosine heads and some libraries' initial weights are.
    """
    pixels, labels = setup.images(IMAGES)
    first = _first_loss(setup.classifier, pixels, labels, setup.loss)
    expected, why = _expected_loss(setup.classifier, labels, setup.classes)
    deviation = abs(first - expected) / expected
    warn, fail = setup.thresholds.first_loss_warn, setup.thresholds.first_loss_fail
    if learns := deviation > warn and setup.verdicts.get("overfit") in ("pass", "unknown"):
        warn, fail = max(warn, WARN_OF_ONE_THAT_LEARNS), max(fail, FAIL_ONE_THAT_LEARNS)
    verdict: Verdict = "pass" if deviation <= warn else "warn" if deviation <= fail else "fail"  # NaN too
    fix = (
        "the first scores are far from 0: lower the initial weights (network.init=he, xavier or a smaller "
        "gaussian) or normalize the pixels (stats.normalization=channel_mean_std)"
    )
    if first < 0:
        fix = "a cross-entropy is never below 0: the loss has the wrong sign"
    return Measurement(
        verdict=verdict,
        measured=f"{first:.4f}",
        expected=f"{expected:.4f} = {why}, within {warn:.0%} (fails beyond {fail:.0%})"
        + ("; these bounds are wide because the network was not seen failing on 20 samples" if learns else ""),
        fix="" if verdict == "pass" else fix,
        title=f"first loss is {why}",
        reason=f"a network that knows nothing gives each of {setup.classes} classes probability 1/{setup.classes}"
        if why.startswith("log")
        else "a network that knows only how frequent the classes are has the entropy of their shares as its loss",
    )


def _expected_loss(classifier: nn.Module, labels: Tensor, classes: int) -> tuple[float, str]:
    shares = torch.bincount(labels, minlength=classes)[:classes].double() / len(labels)
    biases = [parameter for parameter in classifier.parameters() if parameter.shape == (classes,)]
    if biases and shares.max() < 1:
        known = torch.softmax(biases[-1].detach().double(), 0)
        even = torch.full_like(shares, 1 / classes)
        if (known - shares).abs().sum() < 0.5 * (even - shares).abs().sum():
            return -(shares * shares.clamp_min(1e-12).log()).sum().item(), "the entropy of the classes' shares"
    return math.log(classes), f"log {classes}"


def check_regularization(setup: Setup) -> Measurement:
    """S2: the first loss goes up when regularization does (0, then the lecture's 1000).

    Where all weights start at 0, as a softmax regression's may, it is the loss after a few steps.
    """
    pixels, labels = setup.images(IMAGES)
    classifier = setup.classifier
    if not any(weight.any() for weight in decayed_weights(classifier)):
        classifier = take_steps(setup.copy(), pixels, labels, *FIRST_STEPS)
    without = _first_loss(classifier, pixels, labels)
    raised = _first_loss(classifier, pixels, labels, regularization=RAISED_REGULARIZATION)
    goes_up = without < raised < math.inf
    return Measurement(
        verdict="pass" if goes_up else "fail",
        measured=f"{without:.4f} at 0, {raised:.4f} at {RAISED_REGULARIZATION:g}",
        expected=f"above {without:.4f} at weight decay {RAISED_REGULARIZATION:g}",
        fix="" if goes_up else "the weights are all 0 or not finite: set network.init=he or xavier",
    )


def check_weight_decays(setup: Setup) -> Measurement | None:
    """L1: at the lowest weight decay that would be searched, the penalty does not drown the loss.

    None when no weight decays were asked for.
    """
    if setup.weight_decays is None:
        return None
    lowest = setup.weight_decays[0]
    loss = _first_loss(setup.classifier, *setup.images(IMAGES))
    with torch.no_grad():
        added = penalty(decayed_weights(setup.classifier), lowest).item()
    drowned = not added <= DROWNED_BEYOND * loss
    return Measurement(
        verdict="warn" if drowned else "pass",
        measured=f"at weight decay {lowest:.1e}, the lowest asked for, the penalty is {added:.3g}, the loss {loss:.4f}",
        expected=f"a penalty of at most {DROWNED_BEYOND:g} times the loss",
        fix="regularization is huge: let search.coarse.weight_decay start at or below "
        f"{lowest * loss / added:.1e}, where the penalty equals the loss"
        if drowned
        else "",
    )


@torch.no_grad()
def _first_loss(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    loss: Loss = functional.cross_entropy,
    regularization: float = 0.0,
) -> float:
    classifier = copy.deepcopy(classifier).train()  # as in the first step of training: batch norm uses the batch
    scores = classifier(pixels)
    if regularization:
        return regularized_loss(scores, labels, decayed_weights(classifier), regularization).item()
    return loss(scores, labels).item()
