"""Whether a model's probabilities are what they say, and the temperature that makes them so."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks" (2017)
LOWEST, HIGHEST = 0.05, 20.0  # temperatures


def fit_temperature(scores: Tensor, labels: Tensor) -> float:
    """By what scores are to be divided before the softmax: it has the lowest cross-entropy on these images.

    Temperature scaling (Guo et al. 2017) against the labels as Platt (1999) smooths them, by one image's worth: of
    images that are all right the best temperature would be 0, and every probability 1.

    Args:
        scores: float (images, classes), on images that the model was not trained on.
        labels: int64 (images,).

    Returns:
        From 0.05 to 20; 1 when some scores are not finite.
    """
    exact, labels = scores.detach().double().cpu(), labels.cpu()
    if not torch.isfinite(exact).all():
        return 1.0

    def loss(logarithm: float) -> float:
        return functional.cross_entropy(
            exact / math.exp(logarithm), labels, label_smoothing=1 / (len(labels) + 1)
        ).item()

    found = minimize_scalar(loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return math.exp(float(found.x))


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float32]) -> float:
    """Expected calibration error: over 15 equal bins of confidence, the mean distance to the share of right answers.

    Args:
        right: bool (images,), whether the most probable class is the true one.
        confidence: (images,), the probability of the most probable class.
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
