"""D4: labels in range, classes in every split, splits apart and yet alike."""

import hashlib

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

AVERAGED_AT_ONCE = 1000
ALIKE_WITHIN = 8.0  # standard errors; chance reaches 5 once in a million
ALIKE_SHARE = 0.03  # of the pixel range: what nobody would call another distribution


def check_labels(setup: Setup) -> Measurement:
    """Every label is one of K, and every class is in the training split; warns of classes that nothing validates."""
    splits = {"training": setup.train_labels, "validation": setup.validation_labels}
    problems, fix = [], ""
    verdict: Verdict = "pass"
    for name, labels in splits.items():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= setup.classes:
            verdict = "fail"
            problems.append(f"{name} labels from {low} to {high}")
            fix = "number the classes from 0: subtract 1 when they start at 1, or correct how labels are read"
            continue
        missing = setup.classes - len(torch.unique(labels))
        if missing:
            verdict = "fail" if name == "training" or verdict == "fail" else "warn"
            problems.append(f"{missing} of {setup.classes} classes have no {name} image")
            fix = fix or f"add {name} images of the missing classes, or remove the classes"
    return Measurement(
        verdict=verdict,
        measured="; ".join(problems) or f"labels 0 to {setup.classes - 1} in both splits",
        expected=f"labels 0 to {setup.classes - 1}, each in the training and in the validation split",
        fix=fix,
    )


def check_splits_apart(setup: Setup) -> Measurement:
    """No image of the training split is in the validation split, byte for byte."""
    trained_on = {_digest(image) for image in setup.train_pixels}
    shared = sum(_digest(image) in trained_on for image in setup.validation_pixels)
    return Measurement(
        verdict="fail" if shared else "pass",
        measured=f"{shared:,} of {len(setup.validation_pixels):,} validation images are training images too",
        expected="0",
        fix="validation images leaked into training: take duplicates out before the split, or split by content"
        if shared
        else "",
    )


def check_splits_alike(setup: Setup) -> Measurement:
    """Channel means of both splits agree, within sampling error over images and 3 % of the pixel range."""
    train, validation = (_means(pixels) for pixels in (setup.train_pixels, setup.validation_pixels))
    error = (train.var(0) / len(train) + validation.var(0) / len(validation)).sqrt()
    difference = (train.mean(0) - validation.mean(0)).abs()
    errors = difference / error.clamp_min(1e-9)
    apart = bool(((errors > ALIKE_WITHIN) & (difference > ALIKE_SHARE * 255)).any())
    shown = ", ".join(f"{a:.1f} and {b:.1f}" for a, b in zip(train.mean(0), validation.mean(0), strict=True))
    return Measurement(
        verdict="warn" if apart else "pass",
        measured=f"channel means in training and validation {shown}: at most {errors.max():.1f} standard errors apart",
        expected=f"within {ALIKE_WITHIN:g} standard errors (chance reaches 5 once in a million), or within "
        f"{ALIKE_SHARE * 255:.1f} of 255 gray levels",
        fix="the splits are read differently (channels swapped, as RGB and BGR, or scaled differently) or come from "
        "different sources: read both the same way, and split at random"
        if apart
        else "",
    )


def _digest(image: Tensor) -> bytes:
    return hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest()


def _means(pixels: Images) -> Tensor:
    """Each image's channel means, float64 (images, channels)."""
    size = images_at_once(pixels.shape[1:], AVERAGED_AT_ONCE)
    return torch.cat([part.double().mean(dim=(1, 2)) for part in pixels.split(size)])
