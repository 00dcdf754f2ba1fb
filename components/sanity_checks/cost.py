"""What a check may cost, counted in operations rather than seconds, so that verdicts do not depend on the clock."""

import torch

from sanefit.components.foundation.diagnosis.network_paths import is_layer, weight_of
from sanefit.components.foundation.diagnosis.operations import trace
from sanefit.components.sanity_checks.setup import Setup

TRACED = 2  # images
OF_A_STEP = 3  # times a forward pass: backward costs twice as much
PROBE = 2e12  # floating-point operations; a core makes 3e10 to 8e10 a second
CARRY_OVER = 2e12


def operations_for_an_image(setup: Setup) -> float:
    """Floating-point operations of one training step for one image, of the linear and convolutional layers."""
    with torch.no_grad():
        _, passed = trace(setup.copy().eval(), setup.images(TRACED)[0])
    images = len(passed.operations[0].result)
    products = 0.0
    for one in passed.operations[1:]:
        weight = weight_of(one) if is_layer(one) else None
        if weight is not None and weight.ndim > 1:
            products += weight.numel() * one.result.numel() / max(weight.shape[0], 1) / images
    return OF_A_STEP * 2 * max(products, 1.0)


def affordable(budget: float, steps: int, each: float, most: int, fewest: int) -> int:
    """Images in a batch of so many steps, between two bounds.

    Args:
        budget: operations in all.
        steps: of training.
        each: operations for an image.
        most, fewest: bounds.
    """
    return max(min(most, fewest), min(most, int(budget / (steps * each))))
