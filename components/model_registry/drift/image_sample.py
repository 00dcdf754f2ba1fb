"""What drift is looked for in: some numbers of each image, and of what a model says of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.picture_content import BRIGHTNESS

Floats = NDArray[np.float32]

OF_GRAY = ("brightness", "contrast", "sharpness")
OF_COLOR = ("mean of red", "mean of green", "mean of blue", *OF_GRAY)
SCORES = 64  # of an image, at most
LEAST_PROBABILITY = 1e-7  # float32 tells no less from 0 beside 1


@dataclass(frozen=True)
class ImageSample:
    """Of images drawn at random, each of them once.

    ``statistics``: float32 (images, statistics), as ``image_statistics`` gives them. Of the same images, or of others:
    ``scores``, float32 (images, at most SCORES), as ``scores_of`` gives them; ``confidence``, float32 (images,), the
    probability of the most probable class; ``class_counts``, int64 (classes,), how many images are called each.
    """

    statistics: Floats
    scores: Floats
    confidence: Floats
    class_counts: NDArray[np.int64]


def sample_of(statistics: Floats, probabilities: Floats) -> ImageSample:
    """From the statistics of images, and the probabilities, float32 (images, classes), of the same or of others."""
    labels = probabilities.argmax(axis=1)
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    return ImageSample(statistics, scores_of(probabilities), probabilities.max(axis=1), counts)


def joined(parts: Sequence[ImageSample]) -> ImageSample:
    """One sample of all images of some, one or more."""
    return ImageSample(
        np.concatenate([part.statistics for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.sum([part.class_counts for part in parts], axis=0),
    )


def statistic_names(channels: int) -> tuple[str, ...]:
    """Of images of 1 or 3 channels, in the order of ``image_statistics``."""
    return OF_GRAY if channels == 1 else OF_COLOR


def image_statistics(pixels: NDArray[np.uint8]) -> Floats:
    """Float32 (images, statistics).

    Of colored images the mean of each channel, in levels 0-255. Then, of the brightness of an image's pixels (ITU-R
    BT.601), its mean; its standard deviation, the contrast; and the mean change from a pixel to its neighbors as a
    share of the contrast, the sharpness, 0 without contrast.

    Args:
        pixels: uint8 (images, height, width, 1 or 3).
    """
    levels = pixels.astype(np.float32)
    gray = levels[..., 0] if pixels.shape[3] == 1 else levels @ BRIGHTNESS
    contrast = gray.std(axis=(1, 2))
    measured = [gray.mean(axis=(1, 2)), contrast, _mean_change(gray) / np.maximum(contrast, np.float32(1e-3))]
    if pixels.shape[3] > 1:
        measured = [*levels.mean(axis=(1, 2)).T, *measured]
    return np.stack(measured, axis=1).astype(np.float32)


def _mean_change(gray: Floats) -> Floats:
    """Between neighbors, in levels: float32 (images,)."""
    changes = [np.abs(np.diff(gray, axis=axis)).reshape(len(gray), -1) for axis in (1, 2)]
    found: Floats = np.concatenate(changes, axis=1).sum(axis=1) / max(1, sum(part.shape[1] for part in changes))
    return found


def scores_of(probabilities: Floats) -> Floats:
    """Centered log-ratios (J. Aitchison 1982): the model's scores without what they have in common.

    Of more than SCORES classes, those with numbers that are equal modulo SCORES are taken as one.

    Args:
        probabilities: float32 (images, classes).

    Returns:
        float32 (images, classes, at most SCORES).
    """
    images, classes = probabilities.shape
    if classes > SCORES:
        padded = np.pad(probabilities, ((0, 0), (0, -classes % SCORES)))
        probabilities = padded.reshape(images, -1, SCORES).sum(axis=1)
    logarithms = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    centered: Floats = (logarithms - logarithms.mean(axis=1, keepdims=True)).astype(np.float32)
    return centered
