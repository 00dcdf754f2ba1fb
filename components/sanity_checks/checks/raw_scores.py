"""L1: what enters the loss are raw scores, one for each class."""

import torch
from torch import Tensor

from sanefit.components.foundation.diagnosis.activation_kinds import bounds_of
from sanefit.components.foundation.diagnosis.network_paths import averaged_last, computed_last
from sanefit.components.foundation.diagnosis.operations import Operation, Trace, tensors_in, trace
from sanefit.components.foundation.errors import first_line
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

IMAGES = 64
SQUASHING = {
    *(
        "sigmoid",
        "expit",
        "hardsigmoid",
        "logsigmoid",
        "tanh",
        "softsign",
        "hardtanh",
        "relu",
        "relu6",
        "threshold",
    ),
    *(
        "clamp",
        "clip",
        "clamp_min",
        "gelu",
        "silu",
        "elu",
        "celu",
        "selu",
        "mish",
        "hardswish",
        "softplus",
        "normalize",
    ),
}
SOFTMAX = {"softmax", "gumbel_softmax", "softmin"}
UNSQUASHED = {"linear", "conv2d", "matmul", "addmm", "bmm", "baddbmm", "einsum"}


def check_raw_scores(setup: Setup) -> Measurement:
    """Scores are finite (images, K), and no softmax, sigmoid, ReLU or other squashing function has been at them."""
    pixels, _ = setup.images(IMAGES)
    scores = torch.zeros(0)
    try:
        with torch.no_grad():
            given, passed = trace(setup.copy(), pixels)
    except Exception as error:  # whatever the user's network raises
        problem = (
            f"no scores for images of {tuple(pixels.shape[1:])}: {type(error).__name__}: {first_line(error)[:200]}"
        )
        fix = (
            "the forward pass raised this error: if it is about the images' size, set data.image_size; otherwise "
            "correct the network"
        )
    else:
        problem, fix = _problem(given, passed, len(pixels), setup.classes)
        scores = given if isinstance(given, Tensor) else scores
    return Measurement(
        verdict="fail" if problem else "pass",
        measured=problem or f"scores {tuple(scores.shape)}, from {scores.min():.3g} to {scores.max():.3g}",
        expected=f"one unbounded score for each of {setup.classes} classes",
        fix=fix,
    )


def _problem(scores: object, passed: Trace, images: int, classes: int) -> tuple[str, str]:
    if not isinstance(scores, Tensor):
        held = f" of {len(scores)}" if isinstance(scores, tuple | list | dict) else ""
        return f"forward() returns a {type(scores).__name__}{held}", (
            f"return the scores alone: a tensor (images, {classes})"
        )
    if scores.shape != (images, classes):
        return f"scores of shape {tuple(scores.shape)} for {images} images", (
            f"wrong number of classes: give the output layer {classes} neurons, or correct the labels"
            if scores.ndim == 2 and len(scores) == images
            else f"return a tensor (images, {classes}): flatten what the output layer gives"
        )
    if not scores.is_floating_point():
        return f"scores of type {str(scores.dtype).removeprefix('torch.')}", (
            "return the scores themselves: no gradient goes through argmax or rounding"
        )
    if not torch.isfinite(scores).all():
        share = (~torch.isfinite(scores)).double().mean().item()
        return f"{share:.0%} of the scores are not finite", (
            "look for a logarithm or a root of what is not above 0, and for a division by 0"
        )
    averaged = averaged_last(passed)
    if (
        averaged is not None and bounds_of(averaged) is None and averaged.name not in SOFTMAX
    ):  # a ReLU before the mean over an image is SqueezeNet's
        return "", ""
    return _squashed(scores, averaged or computed_last(passed))


def _squashed(scores: Tensor, last: Operation | None) -> tuple[str, str]:
    named = f"{last.place}: " if last is not None and last.line else ""
    if (last is not None and last.name in SOFTMAX) or (
        (scores >= 0).all() and torch.allclose(scores.sum(1), torch.ones(len(scores)), atol=1e-3)
    ):
        return f"{named}no score is negative and every row sums to 1: a softmax stands before the cross-entropy", (
            "remove the softmax at the network's end and return the raw scores (logits)"
        )
    if last is not None and last.name in SQUASHING:
        return (
            f"{named}scores from {scores.min():.3g} to {scores.max():.3g}: a {last.name} stands before the "
            "cross-entropy, an activation stands after the output layer",
            f"remove the {last.name} (the activation) at the network's end",
        )
    if last is not None and _gives_cosines(last):
        return (
            f"{named}scores from {scores.min():.3g} to {scores.max():.3g}: the scores are bounded, they are cosines",
            "multiply them by a number, learned or fixed, of about 10 to 30",
        )
    if (
        (last is None or last.name not in UNSQUASHED)
        and (scores >= 0).all()
        and (scores <= 1).all()
        and scores.std() > 0
    ):
        return "every score lies in 0 to 1: a sigmoid stands before the cross-entropy", (
            "remove the sigmoid at the network's end"
        )
    return "", ""


def _gives_cosines(last: Operation) -> bool:
    """Whether it multiplies vectors of length 1 by others, and nothing else."""
    factors = list(tensors_in((last.arguments, dict(last.keywords))))
    return last.name in UNSQUASHED and len(factors) == 2 and all(_of_length_one(factor) for factor in factors)


def _of_length_one(vectors: Tensor) -> bool:
    """Whether the rows, or the columns, of a matrix have length 1; but for those of nothing."""
    if vectors.ndim != 2:
        return False
    of_either = (vectors.norm(dim=dim) for dim in (0, 1))
    return any(torch.allclose(some[some > 0], torch.ones(()), atol=1e-3) and some.any() for some in of_either)
