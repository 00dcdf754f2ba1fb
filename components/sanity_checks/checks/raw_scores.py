"""L1: what enters the loss are raw scores, one for each class."""

import torch
from torch import Tensor

from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

IMAGES = 500
CLIPPED_SHARE = 0.2  # of scores that are exactly 0


def check_raw_scores(setup: Setup) -> Measurement:
    """Scores are (images, K), and no softmax, sigmoid or ReLU has been at them."""
    pixels, _ = setup.images(IMAGES)
    try:
        with torch.no_grad():
            given = setup.copy()(pixels)
        scores = given if isinstance(given, Tensor) else torch.zeros(0)
        problem, fix = _problem(given, setup.classes)
    except (RuntimeError, ValueError) as error:  # of torch, in the user's network
        scores = torch.zeros(0)
        problem = f"no scores for images of {tuple(pixels.shape[1:])}: {' '.join(str(error).split())[:200]}"
        fix = "the network does not take images of this size or number of channels: set data.image_size, or correct it"
    return Measurement(
        verdict="fail" if problem else "pass",
        measured=problem or f"scores {tuple(scores.shape)}, from {scores.min():.3g} to {scores.max():.3g}",
        expected=f"one unbounded score for each of {setup.classes} classes",
        fix=fix,
    )


def _problem(scores: object, classes: int) -> tuple[str, str]:
    if not isinstance(scores, Tensor):
        held = f" of {len(scores)}" if isinstance(scores, tuple | list | dict) else ""
        return f"forward() returns a {type(scores).__name__}{held}", (
            f"return the scores alone: a tensor (images, {classes})"
        )
    if scores.ndim != 2 or scores.shape[1] != classes:
        return f"scores of shape {tuple(scores.shape)}", (
            f"wrong number of classes: give the output layer {classes} neurons, or correct the labels"
        )
    if (scores >= 0).all() and torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-3):
        return "every row of scores is positive and sums to 1: a softmax stands before the cross-entropy", (
            "remove the softmax at the network's end"
        )
    zero = (scores == 0).double().mean().item()
    if (scores >= 0).all() and zero >= CLIPPED_SHARE and scores.max() > 0:
        return f"no score is below 0, {zero:.0%} are exactly 0: an activation stands after the output layer", (
            "remove the activation at the network's end"
        )
    if (scores >= 0).all() and (scores <= 1).all() and scores.std() > 0:
        return "every score lies in 0 to 1: a sigmoid stands before the cross-entropy", (
            "remove the sigmoid at the network's end"
        )
    return "", ""
