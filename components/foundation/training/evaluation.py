"""Loss and accuracy of a network on a split."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Evaluation:
    """``loss`` is the mean cross-entropy, natural logarithm; ``predicted`` is int64 (images,)."""

    loss: float
    accuracy: float
    predicted: Tensor


@torch.no_grad()
def evaluate(classifier: nn.Module, pixels: Tensor, labels: Tensor) -> Evaluation:
    """Score every image in evaluation mode; the classifier's mode is restored.

    Args:
        classifier: from raw pixels to scores.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
    """
    was_training = classifier.training
    classifier.eval()
    scores = torch.cat([classifier(batch) for batch in pixels.split(EVALUATION_BATCH)])
    classifier.train(was_training)
    predicted = scores.argmax(dim=1)
    return Evaluation(
        loss=functional.cross_entropy(scores.double(), labels).item(),
        accuracy=(predicted == labels).double().mean().item(),
        predicted=predicted,
    )
