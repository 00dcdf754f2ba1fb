"""M2: a short training learns something that holds for validation images, and that permuted labels do not give."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.foundation.training.loop.evaluation import evaluate, scores_of
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.cost import CARRY_OVER, affordable, operations_for_an_image
from sanefit.components.sanity_checks.nearest_neighbours import nearest_neighbours, thumbnails
from sanefit.components.sanity_checks.probe.learning_rate_probe import recommended_rate
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import short_training

STEPS = 150
FEWEST = 16  # images in a batch
LONGER = 4  # times, where that was not enough
IMAGES = 2000  # of validation, and as many of training to compare with
STANDARD_ERRORS = 3.0
TELLS = 0.15  # three standard errors of an accuracy of a half: with more, the set is too small
MOST_NATS = 10.0  # that one image counts
PASSED: tuple[Verdict, str] = ("pass", "")


@dataclass(frozen=True)
class Answers:
    """To validation images, float64 (images,): ``right``, 0 or 1; ``log_probability`` of the true class."""

    right: Tensor
    log_probability: Tensor


def check_recommended_rate(setup: Setup) -> Measurement | None:
    """What is learned at the rate that the probe recommends; None when it recommends none."""
    rate = recommended_rate(setup.probe)
    return None if rate is None else check_carry_over(setup, rate)


def check_carry_over(setup: Setup, learning_rate: float) -> Measurement:
    """Train for 150 steps at the recommended rate, and once more on permuted labels: a null control.

    What is learned from the labels must answer validation images better than what is learned from noise, by three
    standard errors over these images, each class weighing the same: in its answers, or in the probability that it
    gives the true class. A network that learns slowly gets four times the steps first. Fails where the nearest training
    images tell no more than permuted labels either; where they do, it is the network that learns nothing: it warns.

    Args:
        setup: network and data.
        learning_rate: constant over the steps.
    """
    each = operations_for_an_image(setup)
    size = affordable(CARRY_OVER / 2, STEPS, each, setup.batch_size, min(FEWEST, setup.batch_size))
    labels = setup.validation_labels[:IMAGES]
    permuted = permuted_labels(setup)
    costly = size < setup.batch_size
    for steps in (STEPS,) if costly else (STEPS, LONGER * STEPS):
        train, real = _trained(setup, setup.train_labels, learning_rate, steps, size)
        _, control = _trained(setup, permuted, learning_rate, steps, size)
        found = is_better(real, control, labels)
        if found:
            break
    verdict, fix = PASSED if found else _why_not(setup, permuted, costly=costly)
    weights = class_weights(labels)
    accuracy, of_control = (float((weights * answers.right).sum()) for answers in (real, control))
    return Measurement(
        verdict=verdict,
        measured=f"after {steps} steps of {size} images at {learning_rate:.1e}: accuracy {train:.3f} in training, "
        f"{accuracy:.3f} in validation, {of_control:.3f} after the same on permuted labels (mean over classes)",
        expected=f"better than on permuted labels by {STANDARD_ERRORS:g} standard errors, over {len(labels)} images",
        fix=fix,
        learned=accuracy,
    )


def permuted_labels(setup: Setup) -> Tensor:
    """The training labels in another order: int64 (images,)."""
    generator = torch.Generator().manual_seed(derive_seed(setup.seed, "permuted labels"))
    return setup.train_labels[torch.randperm(len(setup.train_labels), generator=generator)]


def class_weights(labels: Tensor) -> Tensor:
    """Of each image, so that each class that there is weighs the same and all together 1: float64 (images,)."""
    sizes = torch.bincount(labels)
    return 1.0 / (sizes[labels].double() * (sizes > 0).sum())


def is_better(one: Answers, other: Answers, labels: Tensor) -> bool:
    """Whether answers are better by more than three standard errors, by their accuracy or their log-probability."""
    weights = class_weights(labels)
    for difference in (one.right - other.right, one.log_probability - other.log_probability):
        gain = (weights * difference).sum()
        error = (weights * (difference - gain)).square().sum().sqrt()
        if gain > STANDARD_ERRORS * error and gain > 0:
            return True
    return False


def _why_not(setup: Setup, permuted: Tensor, *, costly: bool) -> tuple[Verdict, str]:
    labels = setup.validation_labels[:IMAGES]
    half = 0.5 * class_weights(labels).square().sum().sqrt().item()
    if STANDARD_ERRORS * half > TELLS:
        return "unknown", f"{len(labels)} validation images are too few to tell: the whole training will"
    pixels, own = setup.images(IMAGES)
    features, asked = thumbnails(pixels), thumbnails(setup.validation_pixels[:IMAGES])
    order = torch.randperm(len(setup.train_labels), generator=torch.Generator().manual_seed(setup.seed))
    real, control = (
        _right(nearest_neighbours(features, known, asked), labels) for known in (own, permuted[order[: len(own)]])
    )
    if is_better(real, control, labels):
        return "unknown" if costly else "warn", (
            "the images tell the classes apart, but what the network learned of them does not hold for validation "
            "images: are the splits read differently, is batch norm's average wrong in evaluation, is the network slow?"
        )
    return "fail", (
        "null control: labels that were permuted at random teach as much. Are labels shuffled or those of other "
        "images, are the splits read differently, can anybody tell these classes apart?"
    )


def _right(predicted: Tensor, labels: Tensor) -> Answers:
    right = (predicted == labels).double()
    return Answers(right, torch.zeros_like(right))


def _trained(setup: Setup, labels: Tensor, rate: float, most: int, size: int) -> tuple[float, Answers]:
    """Accuracy on training images, and the answers to validation images."""
    classifier = setup.copy()
    training = short_training(
        classifier,
        setup.train_pixels,
        labels,
        rate,
        loss=setup.loss,
        step=setup.step,
        momentum=setup.momentum,
        optimizer=setup.optimizer,
    )
    steps, epoch = 0, 1
    while steps < most:
        for indices in shuffled_batches(len(labels), size, derive_seed(setup.seed, "carry over"), epoch)[
            : most - steps
        ]:
            training.step(indices, rate)
            steps += 1
        epoch += 1
    train = evaluate(classifier, *setup.images(IMAGES)).accuracy
    asked = setup.validation_labels[:IMAGES]
    scores = scores_of(classifier, setup.validation_pixels[:IMAGES]).double()
    known = torch.log_softmax(scores, 1).gather(1, asked.unsqueeze(1)).squeeze(1)
    known = torch.nan_to_num(known, nan=-math.inf).clamp_min(-MOST_NATS)
    return train, Answers((scores.argmax(1) == asked).double(), known)
