"""S1 and S2: the loss before any training."""

import math

import torch
from torch import Tensor

from components.foundation.artifacts import GateResult
from components.foundation.classifiers.classifier import Classifier
from components.foundation.training.loss import decayed_weights, regularised_loss

PASS_WITHIN = 0.1  # of log K: scores of standard deviation 0.6 already add 0.2
FAIL_BEYOND = 0.5
RAISED_REGULARISATION = 1e3  # the lecture's


def check_first_loss(classifier: Classifier, pixels: Tensor, labels: Tensor, classes: int) -> GateResult:
    """S1: without regularisation the first loss is about log K, as for equal probabilities.

    Passes within 10 % of log K, warns within 50 %, fails beyond.

    Args:
        classifier: freshly initialised.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
        classes: K.
    """
    loss = _first_loss(classifier, pixels, labels, regularisation=0.0)
    expected = math.log(classes)
    deviation = abs(loss - expected) / expected
    verdict = "pass" if deviation <= PASS_WITHIN else "warn" if deviation <= FAIL_BEYOND else "fail"  # NaN too
    fix = (
        "the first scores are far from 0: lower the initial weights (network.init=he, xavier or a smaller "
        "gaussian) or normalise the pixels (stats.normalization=channel_mean_std)"
    )
    return GateResult.model_validate(
        {
            "row": "S1",
            "title": "first loss is log K",
            "verdict": verdict,
            "measured": f"{loss:.4f}",
            "expected": f"{expected:.4f} = log {classes}, within {PASS_WITHIN:.0%} (fails beyond {FAIL_BEYOND:.0%})",
            "reason": f"a network that knows nothing gives each of {classes} classes probability 1/{classes}",
            "fix": "" if verdict == "pass" else fix,
        }
    )


def check_regularisation(classifier: Classifier, pixels: Tensor, labels: Tensor) -> GateResult:
    """S2: the first loss goes up when regularisation does (0, then the lecture's 1000).

    Args:
        classifier: freshly initialised.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
    """
    without = _first_loss(classifier, pixels, labels, regularisation=0.0)
    raised = _first_loss(classifier, pixels, labels, regularisation=RAISED_REGULARISATION)
    goes_up = without < raised < math.inf
    return GateResult(
        row="S2",
        title="loss rises with regularisation",
        verdict="pass" if goes_up else "fail",
        measured=f"{without:.4f} at 0, {raised:.4f} at {RAISED_REGULARISATION:g}",
        expected=f"above {without:.4f} at {RAISED_REGULARISATION:g}",
        reason="the penalty is half of weight decay times the sum of squared weights, which is above 0",
        fix="" if goes_up else "the weights are all 0 or not finite: set network.init=he or xavier",
    )


@torch.no_grad()
def _first_loss(classifier: Classifier, pixels: Tensor, labels: Tensor, regularisation: float) -> float:
    classifier.train()  # as in the first step of training: batch norm uses the batch
    return regularised_loss(classifier(pixels), labels, decayed_weights(classifier), regularisation).item()
