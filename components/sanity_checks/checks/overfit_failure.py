"""Why a network cannot learn a few samples by heart, where that can be seen."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.diagnosis.network_paths import bottleneck
from sanefit.components.foundation.diagnosis.operations import Trace, trace

SAME = 1e-6  # of the scores: float32 leaves 1e-7
NARROW = 2  # numbers for an image
HARDLY = 3.0  # gray levels of 255


def through_one_number(classifier: nn.Module, pixels: Tensor, classes: int) -> str:
    """A sentence where several classes are to be told by a single number, which some samples may allow; or empty."""
    _, passed = trace(copy.deepcopy(classifier).train(), pixels)
    return _narrow(passed, classes, 1) if classes > 2 else ""


def _narrow(passed: Trace, classes: int, most: int) -> str:
    narrowest = bottleneck(passed)
    if narrowest is None or not narrowest[0] <= most < classes:
        return ""
    count = f"{narrowest[0]} number{'s' if narrowest[0] > 1 else ''}"
    return (
        f"a bottleneck: all that is known of an image goes through {count} at {narrowest[1].place}, to tell {classes} "
        "classes apart; widen it"
    )


def why_it_cannot(classifier: nn.Module, pixels: Tensor, labels: Tensor, classes: int) -> str:
    """A sentence with what to change; empty where nothing is seen.

    Args:
        classifier: freshly initialized, without chance; it is not changed.
        pixels: uint8 (samples, height, width, channels).
        labels: int64 (samples,).
        classes: among the samples.
    """
    twin = copy.deepcopy(classifier).train()
    twin.zero_grad()
    scores, passed = trace(twin, pixels)
    if (scores.std(0).max() <= SAME * scores.abs().max()).item():
        return (
            "the input is ignored: all samples get the same scores; what forward() is given must reach them, through "
            "weights that are not 0 and neurons that are not dead (network.init=he)"
        )
    apart = (pixels.float() - pixels.float().mean(0)).abs().mean().item()
    if apart < HARDLY:
        return (
            f"images hardly differ: {apart:.1f} of 255 gray levels from their mean; look at the files, and how they "
            "are read"
        )
    if narrow := _narrow(passed, classes, NARROW):
        return narrow
    if not scores.requires_grad:
        return (
            "the graph is detached: no gradient reaches any weight; remove the detach(), .data, no_grad(), argmax or "
            "rounding in forward()"
        )
    functional.cross_entropy(scores, labels).backward()
    without = [name for name, weight in twin.named_parameters() if weight.grad is None or not weight.grad.any()]
    if without and not torch.equal(scores, torch.zeros_like(scores)):
        return (
            f"no gradient reaches {len(without)} weights, first {without[0].removeprefix('network.')!r}; look after "
            "it for a detach(), argmax or rounding, dead neurons, weights of 0, or an output that is not used"
        )
    return ""
