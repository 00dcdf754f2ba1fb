"""M2: a short training learns something that holds for validation images."""

import math

import torch

from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.foundation.training.loop.evaluation import evaluate
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.cost import CARRY_OVER, affordable, operations_for_an_image
from sanefit.components.sanity_checks.probe.learning_rate_probe import recommended_rate
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import short_training

STEPS = 150
FEWEST = 16  # images in a batch
LONGER = 4  # times, where that was not enough
IMAGES = 2000  # of validation, and as many of training to compare with
STANDARD_ERRORS = 3.0


def check_recommended_rate(setup: Setup) -> Measurement | None:
    """What is learned at the rate that the probe recommends; None when it recommends none."""
    rate = recommended_rate(setup.probe)
    return None if rate is None else check_carry_over(setup, rate)


def check_carry_over(setup: Setup, learning_rate: float) -> Measurement:
    """Train for 150 steps at the recommended rate, then compare both accuracies with always naming one class.

    Warns when validation accuracy is not above that by three standard errors, or by half of what is left above it
    where there are too few images for that. A network that learns slowly gets four times the steps first.

    Args:
        setup: network and data.
        learning_rate: constant over the steps.
    """
    each = operations_for_an_image(setup)
    size = affordable(CARRY_OVER, STEPS, each, setup.batch_size, FEWEST)
    labels = setup.validation_labels[:IMAGES]
    chance = torch.bincount(labels).max().item() / len(labels)
    needed = chance + min(STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / len(labels)), (1 - chance) / 2)
    costly = size < setup.batch_size
    for steps in (STEPS,) if costly else (STEPS, LONGER * STEPS):
        train, validation = _accuracies(setup, learning_rate, steps, size)
        if validation > needed:
            break
    fix = ""
    verdict: Verdict = "pass"
    if validation <= needed and costly:
        verdict = "unknown"
    elif validation <= needed:
        verdict = "warn"
        fix = (
            "what is learned does not hold for validation images: are labels shuffled or those of other images, "
            "are the splits read differently, is batch norm's average wrong in evaluation?"
        )
    return Measurement(
        verdict=verdict,
        measured=f"after {steps} steps of {size} images at {learning_rate:.1e}: accuracy {train:.3f} in training, "
        f"{validation:.3f} in validation",
        expected=f"validation above {needed:.3f} (the largest class has {chance:.3f})",
        fix=fix,
    )


def _accuracies(setup: Setup, learning_rate: float, most: int, size: int) -> tuple[float, float]:
    classifier = setup.copy()
    training = short_training(
        classifier,
        setup.train_pixels,
        setup.train_labels,
        learning_rate,
        loss=setup.loss,
        step=setup.step,
        momentum=setup.momentum,
        optimizer=setup.optimizer,
    )
    steps, epoch = 0, 1
    while steps < most:
        for indices in shuffled_batches(len(setup.train_labels), size, derive_seed(setup.seed, "carry over"), epoch)[
            : most - steps
        ]:
            training.step(indices, learning_rate)
            steps += 1
        epoch += 1
    train = evaluate(classifier, *setup.images(IMAGES))
    validation = evaluate(classifier, setup.validation_pixels[:IMAGES], setup.validation_labels[:IMAGES])
    return train.accuracy, validation.accuracy
