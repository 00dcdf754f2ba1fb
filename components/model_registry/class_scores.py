"""How good a model is at each class."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassScores(NamedTuple):
    """By label, float64 (classes,); 0 of a class of which there is nothing to measure."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """From counts (classes, classes): row i, column j holds images of class i that were called j."""
    right, images, called = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return ClassScores(
        precision=right / np.maximum(called, 1),
        recall=right / np.maximum(images, 1),
        f1=2 * right / np.maximum(images + called, 1),
    )
