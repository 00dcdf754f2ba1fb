"""A1: something that is not linear stands between the layers."""

import torch
from torch import Tensor, nn

from sanefit.components.foundation.diagnosis.network_paths import is_affine, is_trained_layer, linear_links
from sanefit.components.foundation.diagnosis.operations import trace
from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

PAIRS = 64
TRACED = 4  # images
AFFINE_BELOW = 1e-4  # of the spread of the scores; float32 leaves 1e-6


def check_activations(setup: Setup) -> Measurement:
    """The network is not one affine function, and no layer feeds another of its kind linearly.

    Affine: nothing but linear operations was seen, or, where they cannot be seen, the scores of the middle of two
    images are the middle of their scores. Between two layers: their operations tell; signals would not, for one that
    has all but vanished stays where a sigmoid is straight.
    """
    classifier = setup.copy().eval()
    pixels, _ = setup.images(2 * PAIRS)
    _, passed = trace(classifier, pixels[:TRACED])
    bend = _bend(classifier, pixels)
    layers, links = [one for one in passed.operations if is_trained_layer(one)], linear_links(passed)
    affine = is_affine(passed) if passed.between() else len(layers) > 1 and bend < AFFINE_BELOW
    fix = "put an activation (network.activation=relu) after every layer but the last"
    verdict: Verdict = "pass"
    measured = f"halfway between two images, scores are off the straight line by {bend:.2g} of their spread (the bend)"
    if affine:
        verdict = "fail"
        measured = f"missing activation: {len(layers)} layers make one affine function, bend {bend:.1g}"
    elif links:
        first, second = links[0]
        verdict = "warn"
        measured = (
            f"missing activation: {len(links)} of {len(layers)} layers follow another layer with nothing nonlinear "
            f"between them, first {second.place} after {first.place}"
        )
    return Measurement(
        verdict=verdict,
        measured=measured,
        expected=f"a bend above {AFFINE_BELOW:g}, and an activation between any two layers",
        fix="" if verdict == "pass" else fix,
    )


@torch.no_grad()
def _bend(classifier: nn.Module, pixels: Tensor) -> float:
    even = pixels & 0xFE  # so that the middle of two is a whole number
    half = len(even) // 2
    one, other = even[:half], even[half : 2 * half]
    middle = (one // 2 + other // 2).to(torch.uint8)
    scores = [classifier(images).double() for images in (one, other, middle)]
    spread = (scores[0] - scores[1]).abs().mean().item()
    return (scores[2] - (scores[0] + scores[1]) / 2).abs().mean().item() / spread if spread else 1.0
