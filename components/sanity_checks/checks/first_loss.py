"""S1 and S2: the loss before any training; and whether the weight decays asked for drown it."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.foundation.schemas.checks import CheckSettings, GateResult
from sanefit.components.foundation.training.loop.gradient_step import Loss
from sanefit.components.foundation.training.loop.loss import decayed_weights, penalty, regularized_loss

RAISED_REGULARISATION = 1e3  # the lecture's
DEFAULTS = CheckSettings()
DROWNED_BEYOND = 10.0  # times the first loss


def check_first_loss(
    classifier: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    classes: int,
    settings: CheckSettings = DEFAULTS,
    loss: Loss = functional.cross_entropy,
) -> GateResult:
    """S1: without regularization the first loss is that of a network that knows nothing.

    That is log K for equal probabilities, whatever the balance of the classes; where the output layer's biases
    start as the logarithms of the classes' shares (Lin et al. 2017), it is the entropy of the shares.

    Args:
        classifier: freshly initialized.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
        classes: K.
        settings: how far from it passes and fails, as a share of it.
        loss: what training minimizes.
    """
    first = _first_loss(classifier, pixels, labels, loss)
    expected, why = _expected_loss(classifier, labels, classes)
    deviation = abs(first - expected) / expected
    warn, fail = settings.first_loss_warn, settings.first_loss_fail
    verdict = "pass" if deviation <= warn else "warn" if deviation <= fail else "fail"  # NaN too
    fix = (
        "the first scores are far from 0: lower the initial weights (network.init=he, xavier or a smaller "
        "gaussian) or normalize the pixels (stats.normalization=channel_mean_std)"
    )
    if first < 0:
        fix = "a cross-entropy is never below 0: the loss has the wrong sign"
    return GateResult.model_validate(
        {
            "name": "first_loss",
            "row": "S1",
            "title": f"first loss is {why}",
            "verdict": verdict,
            "measured": f"{first:.4f}",
            "expected": f"{expected:.4f} = {why}, within {warn:.0%} (fails beyond {fail:.0%})",
            "reason": f"a network that knows nothing gives each of {classes} classes probability 1/{classes}"
            if why.startswith("log")
            else "a network that knows only how frequent the classes are has the entropy of their shares as its loss",
            "fix": "" if verdict == "pass" else fix,
        }
    )


def _expected_loss(classifier: nn.Module, labels: Tensor, classes: int) -> tuple[float, str]:
    shares = torch.bincount(labels, minlength=classes)[:classes].double() / len(labels)
    bias = weight_layers(classifier)[-1][1].bias
    if bias is not None and len(bias) == classes and shares.max() < 1:
        known = torch.softmax(bias.detach().double(), 0)
        even = torch.full_like(shares, 1 / classes)
        if (known - shares).abs().sum() < 0.5 * (even - shares).abs().sum():
            return -(shares * shares.clamp_min(1e-12).log()).sum().item(), "the entropy of the classes' shares"
    return math.log(classes), f"log {classes}"


def check_regularization(classifier: nn.Module, pixels: Tensor, labels: Tensor) -> GateResult:
    """S2: the first loss goes up when regularization does (0, then the lecture's 1000).

    Args:
        classifier: freshly initialized.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
    """
    without = _first_loss(classifier, pixels, labels)
    raised = _first_loss(classifier, pixels, labels, regularization=RAISED_REGULARISATION)
    goes_up = without < raised < math.inf
    return GateResult(
        name="regularization",
        row="S2",
        title="loss rises with regularization",
        verdict="pass" if goes_up else "fail",
        measured=f"{without:.4f} at 0, {raised:.4f} at {RAISED_REGULARISATION:g}",
        expected=f"above {without:.4f} at {RAISED_REGULARISATION:g}",
        reason="the penalty is half of weight decay times the sum of squared weights, which is above 0",
        fix="" if goes_up else "the weights are all 0 or not finite: set network.init=he or xavier",
    )


def check_weight_decays(
    classifier: nn.Module, pixels: Tensor, labels: Tensor, asked: tuple[float, float]
) -> GateResult:
    """L1: at the lowest weight decay that would be searched, the penalty does not drown the loss.

    Args:
        classifier: freshly initialized.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
        asked: lowest and highest weight decay of the search.
    """
    loss = _first_loss(classifier, pixels, labels)
    with torch.no_grad():
        added = penalty(decayed_weights(classifier), asked[0]).item()
    drowned = not added <= DROWNED_BEYOND * loss
    return GateResult(
        name="weight_decays",
        row="L1",
        title="regularization leaves room to learn",
        verdict="warn" if drowned else "pass",
        measured=f"at weight decay {asked[0]:.1e}, the lowest asked for, the penalty is {added:.3g}, the loss "
        f"{loss:.4f}",
        expected=f"a penalty of at most {DROWNED_BEYOND:g} times the loss",
        reason="where the penalty outweighs the loss by far, descent shrinks the weights and learns nothing",
        fix=f"regularization is huge: search weight decays from below {asked[0] * loss / added:.1e} "
        "(search.coarse.weight_decay)"
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
    classifier.train()  # as in the first step of training: batch norm uses the batch
    scores = classifier(pixels)
    if regularization:
        return regularized_loss(scores, labels, decayed_weights(classifier), regularization).item()
    return loss(scores, labels).item()
