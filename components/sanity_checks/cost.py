"""What a check may cost, counted in operations rather than seconds, so that verdicts do not depend on the clock."""

from dataclasses import dataclass, replace

import torch

from sanefit.components.foundation.diagnosis.network_paths import is_layer, weight_of
from sanefit.components.foundation.diagnosis.operations import trace
from sanefit.components.sanity_checks.setup import Setup

TRACED = 2  # images
OF_A_STEP = 3  # times a forward pass: backward costs twice as much
# Floating-point operations of a check; a core makes 3e10 to 8e10 a second.
PROBE = 1e12
CARRY_OVER = 2e12
OVERFIT = 5e12
MOST_IMAGES = 64  # in a batch of a short training: more of them tell little more
FOR_ONE_THREAD = 1e10  # of a training step: with less, threads wait for each other rather than compute
BYTES = 4  # of a value
KEPT = 2  # times what a forward pass gives: backward makes gradients of it
OF_MEMORY = 0.5  # that is free, for all workers together
FEWEST = 8  # images in a batch, whatever it takes


@dataclass(frozen=True)
class Cost:
    """Of one training step for one image: floating-point operations of its layers, and bytes that it keeps.

    ``weights``: bytes of the network and its gradients, and of what an optimizer keeps of them.
    """

    operations: float
    bytes: float
    weights: float


def cost_of(setup: Setup) -> Cost:
    """Of the set-up's network."""
    with torch.no_grad():
        _, passed = trace(setup.copy().eval(), setup.images(TRACED)[0])
    images = len(passed.operations[0].result)
    products, values = 0.0, 0.0
    for one in passed.operations[1:]:
        values += one.result.numel() / images
        weight = weight_of(one) if is_layer(one) else None
        if weight is not None and weight.ndim > 1:
            products += weight.numel() * one.result.numel() / max(weight.shape[0], 1) / images
    weights = sum(parameter.numel() for parameter in setup.classifier.parameters())
    return Cost(OF_A_STEP * 2 * max(products, 1.0), KEPT * BYTES * values, 4 * BYTES * weights)


def affordable(budget: float, steps: int, each: float, most: int, fewest: int) -> int:
    """Images in a batch of so many steps, between two bounds.

    Args:
        budget: operations in all.
        steps: of training.
        each: operations for an image.
        most, fewest: bounds.
    """
    return max(min(most, fewest), min(most, int(budget / (steps * each))))


def fitted(setup: Setup, cores: int, free: int) -> tuple[Setup, int]:
    """The same for a machine: trainings side by side, each with one thread, and batches that fit; threads for the rest.

    Unchanged, and one thread, for a network that cannot even be run: a check will say why.

    Args:
        setup: whose network is trained.
        cores: that this process may use.
        free: bytes of memory.
    """
    try:
        cost = cost_of(setup)
    except Exception:  # whatever the user's network raises
        return setup, 1
    of_an_image = max(cost.bytes, 1.0)
    room = OF_MEMORY * free
    workers = max(1, min(cores, int(room / (of_an_image * setup.batch_size + cost.weights))))
    images = max(FEWEST, min(setup.batch_size, int((room - cost.weights) / of_an_image)))
    threads = 1 if cost.operations * setup.batch_size < FOR_ONE_THREAD else cores
    return replace(setup, workers=workers, batch_size=min(setup.batch_size, images)), threads
