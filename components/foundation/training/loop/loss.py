"""The lecture's loss (ledger row L1)."""

import functools
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.training.loop.gradient_step import Loss


def decayed_weights(network: nn.Module) -> list[Tensor]:
    """The weights that the penalty covers: matrices and kernels, not biases or norms."""
    return [parameter for parameter in network.parameters() if parameter.ndim >= 2]


def penalty(weights: Iterable[Tensor], weight_decay: float) -> Tensor:
    """``weight_decay / 2`` times the sum of squares of all weights, a scalar."""
    return 0.5 * weight_decay * torch.stack([weight.square().sum() for weight in weights]).sum()


def smoothed_cross_entropy(label_smoothing: float) -> Loss:
    """The mean cross-entropy against labels of which a share is spread over all classes (Szegedy et al. 2016)."""
    if not label_smoothing:
        return functional.cross_entropy
    return functools.partial(functional.cross_entropy, label_smoothing=label_smoothing)


def regularized_loss(scores: Tensor, labels: Tensor, weights: Iterable[Tensor], weight_decay: float) -> Tensor:
    """Mean softmax cross-entropy plus the penalty, a scalar.

    Args:
        scores: float (images, classes).
        labels: int64 (images,).
        weights: as ``decayed_weights`` gives them.
        weight_decay: lambda, at least 0.
    """
    return functional.cross_entropy(scores, labels) + penalty(weights, weight_decay)
