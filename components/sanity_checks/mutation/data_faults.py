"""Faults in labels, splits and pixels."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.setup import Setup

LEAKED = 100  # images
SHUFFLED = ("shuffled", "those of other images", "belong to other images")


def _labels(setup: Setup, change: Callable[[Tensor], Tensor]) -> Setup:
    return replace(
        setup,
        train_labels=change(setup.train_labels.clone()),
        validation_labels=change(setup.validation_labels.clone()),
    )


def _pixels(setup: Setup, change: Callable[[Tensor], Tensor]) -> Setup:
    return replace(
        setup, train_pixels=change(setup.train_pixels[:]), validation_pixels=change(setup.validation_pixels[:])
    )


def labels_shuffled(setup: Setup) -> Setup:
    """In both splits, as when files and labels are sorted apart."""
    random = torch.Generator().manual_seed(setup.seed)
    return _labels(setup, lambda labels: labels[torch.randperm(len(labels), generator=random)])


def labels_one_late(setup: Setup) -> Setup:
    """Each image has the label of the one before."""
    return _labels(setup, lambda labels: labels.roll(1))


def labels_from_one(setup: Setup) -> Setup:
    """1 to K."""
    return _labels(setup, lambda labels: labels + 1)


def labels_of_minus_one(setup: Setup) -> Setup:
    """Five training images have none."""
    labels = setup.train_labels.clone()
    labels[:5] = -1
    return replace(setup, train_labels=labels)


def class_without_validation_images(setup: Setup) -> Setup:
    """The last class."""
    kept = setup.validation_labels != setup.classes - 1
    return replace(
        setup,
        validation_pixels=setup.validation_pixels[kept],
        validation_labels=setup.validation_labels[kept],
        validation_files=None,
    )


def class_without_training_images(setup: Setup) -> Setup:
    """The last class."""
    kept = setup.train_labels != setup.classes - 1
    return replace(
        setup, train_pixels=setup.train_pixels[kept], train_labels=setup.train_labels[kept], train_files=None
    )


def validation_images_in_training(setup: Setup) -> Setup:
    """A hundred of them."""
    return replace(
        setup,
        train_pixels=torch.cat([setup.train_pixels[:], setup.validation_pixels[:LEAKED]]),
        train_labels=torch.cat([setup.train_labels, setup.validation_labels[:LEAKED]]),
        train_files=None,
    )


def channels_swapped(setup: Setup) -> Setup | None:
    """BGR in validation, RGB in training; no fault where channels are alike, or there is one."""
    pixels = setup.validation_pixels[:]
    means = pixels.float().mean((0, 1, 2))
    if len(means) < 3 or (means[0] - means[-1]).abs() < CHANNELS_APART:
        return None
    return replace(setup, validation_pixels=pixels.flip(-1))


def validation_divided_by_255(setup: Setup) -> Setup:
    """Validation alone."""
    return replace(setup, validation_pixels=setup.validation_pixels[:] // 255)


def images_black(setup: Setup) -> Setup:
    """All of them, as when decoding fails without a word."""
    return _pixels(setup, torch.zeros_like)


def images_faint(setup: Setup) -> Setup:
    """Four gray levels are left, from 100 on."""
    return _pixels(setup, lambda pixels: pixels // 64 + 100)


CHANNELS_APART = 10.0  # levels
FAINT = ("hardly differ", "fits, slowly", "not yet", "cannot fit", "collapsing", "normalize the pixels")
DATA_FAULTS = (
    PlantedFault("labels shuffled", SHUFFLED, labels_shuffled),
    PlantedFault("labels one image late", SHUFFLED, labels_one_late),
    PlantedFault("labels from 1 to K", ("start at 1",), labels_from_one),
    PlantedFault("labels of -1", ("labels from -1",), labels_of_minus_one),
    PlantedFault("a class without validation images", ("no validation image",), class_without_validation_images),
    PlantedFault("a class without training images", ("no training image",), class_without_training_images),
    PlantedFault("validation images in training", ("leaked",), validation_images_in_training),
    PlantedFault("channels swapped in validation", ("channels swapped",), channels_swapped),
    PlantedFault("validation divided by 255", ("read differently",), validation_divided_by_255),
    PlantedFault("images all black", ("hardly differ", "normalize the pixels"), images_black),
    PlantedFault("images faint", FAINT, images_faint),
)
