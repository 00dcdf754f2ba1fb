"""Loss and accuracy of a network on a split."""

import math
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

    ``recalls``: float64 (classes,), share of right answers of each class up to the last one that the split has, NaN for
    one that it has not; ``balanced_accuracy``: their mean.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float
    recalls: Tensor
    predicted: Tensor


def evaluate(classifier: nn.Module, pixels: Images, labels: Tensor) -> Evaluation:
    """Score every image in evaluation mode; the classifier's mode is restored.

    Args:
        classifier: from raw pixels to scores.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,).
    """
    return measure_scores(scores_of(classifier, pixels), labels)


@torch.no_grad()
def scores_of(classifier: nn.Module, pixels: Images) -> Tensor:
    """Scores in evaluation mode, float (images, classes), on the device; the classifier's mode is restored.

    Args:
        classifier: from raw pixels to scores.
        pixels: uint8 (images, height, width, channels).
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
    return scores


def measure_scores(scores: Tensor, labels: Tensor) -> Evaluation:
    """What scores, float (images, classes), are worth beside the labels, int64 (images,)."""
    predicted = scores.argmax(dim=1)
    right = predicted == labels
    recalls = class_recalls(right.unsqueeze(0), labels)[0]
    return Evaluation(
        loss=functional.cross_entropy(scores.double(), labels).item(),
        accuracy=right.double().mean().item(),
        balanced_accuracy=recalls.nanmean().item(),
        recalls=recalls,
        predicted=predicted,
    )


def class_recalls(right: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers of each class: float64 (T, classes), NaN for a class without an image.

    Args:
        right: bool (T, images), of T networks.
        labels: int64 (images,).
    """
    sizes = torch.bincount(labels)
    found = torch.zeros(len(right), len(sizes), dtype=torch.float64, device=labels.device)
    found.index_add_(1, labels, right.double())
    return found / sizes


def recall_of(judged: int | None, recalls: Tensor) -> list[float]:
    """Of the judged class, for each network; NaN where none is judged, or the split has no image of it.

    Args:
        judged: a label.
        recalls: float64 (T, classes).
    """
    if judged is None or judged >= recalls.shape[1]:
        return [math.nan] * len(recalls)
    found: list[float] = recalls[:, judged].tolist()
    return found
