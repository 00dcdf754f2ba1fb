"""Loss and accuracy of a network on a split."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.training.loop.training_images import Images

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Evaluation:
    """``loss`` is the mean cross-entropy, natural logarithm; ``predicted`` is int64 (images,).

    ``balanced_accuracy``: mean share of right answers over the classes that the split has.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float
    predicted: Tensor


@torch.no_grad()
def evaluate(classifier: nn.Module, pixels: Images, labels: Tensor) -> Evaluation:
    """Score every image in evaluation mode; the classifier's mode is restored.

    Args:
        classifier: from raw pixels to scores.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
    """
    was_training = classifier.training
    classifier.eval()
    scores, seen = torch.empty(0), 0
    for batch in pixels.split(images_at_once(pixels.shape[1:], EVALUATION_BATCH)):
        batch_scores = classifier(batch)
        if not seen:
            # One tensor for all: small ones that stay between the large ones that go leave holes in the heap.
            scores = batch_scores.new_empty((len(pixels), *batch_scores.shape[1:]))
        scores[seen : seen + len(batch)] = batch_scores
        seen += len(batch)
    classifier.train(was_training)
    predicted = scores.argmax(dim=1)
    right = predicted == labels
    return Evaluation(
        loss=functional.cross_entropy(scores.double(), labels).item(),
        accuracy=right.double().mean().item(),
        balanced_accuracy=balanced_accuracy(right.unsqueeze(0), labels).item(),
        predicted=predicted,
    )


def balanced_accuracy(right: Tensor, labels: Tensor) -> Tensor:
    """The mean over the classes of their share of right answers: float64 (T,).

    Args:
        right: bool (T, images), of T networks.
        labels: int64 (images,).
    """
    classes = int(labels.max()) + 1
    sizes = torch.bincount(labels, minlength=classes)
    found = torch.zeros(len(right), classes, dtype=torch.float64, device=labels.device)
    found.index_add_(1, labels, right.double())
    present = sizes > 0
    return (found[:, present] / sizes[present]).mean(dim=1)
