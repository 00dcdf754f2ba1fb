"""Training, the obvious way: one network, one batch after another."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from components.foundation.artifacts import DatasetReference, EpochRecord
from components.foundation.classifiers.classifier import Classifier
from components.foundation.image_dataset.batches import shuffled_batches
from components.foundation.training.evaluation import evaluate
from components.foundation.training.loss import decayed_weights, regularised_loss
from components.foundation.training.schedules import Schedule, learning_rate_at
from components.foundation.training.training_images import Images, training_images

CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingData:
    """Pixels are uint8 (images, height, width, channels), labels int64 (images,)."""

    train_pixels: Images
    train_labels: Tensor
    validation_pixels: Images
    validation_labels: Tensor


def read_training_data(dataset: DatasetReference, device: torch.device = CPU) -> TrainingData:
    """The training and validation splits of a snapshot, in the device's memory when they fit."""
    train, validation = training_images(dataset, ("train", "validation"), device)
    return TrainingData(*train, *validation)


def best_device() -> torch.device:
    """The first GPU that this process can see, else the CPU."""
    return torch.device("cuda") if torch.cuda.is_available() else CPU


def train(
    classifier: Classifier,
    data: TrainingData,
    *,
    learning_rate: float,
    weight_decay: float,
    momentum: float,
    batch_size: int,
    epochs: int,
    schedule: Schedule,
    seed: int,
    after_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> tuple[Literal["ok", "diverged"], list[EpochRecord]]:
    """Minimise the regularised loss by mini-batch SGD, in place.

    Stops at once when a batch's loss is not finite, or an epoch ends with a validation loss that
    is not; the last record then holds ``None`` for it.

    Args:
        classifier: from raw pixels to scores, on the data's device.
        data: both splits.
        learning_rate: above 0; its course over the steps is ``schedule``'s.
        weight_decay: lambda of the penalty, at least 0.
        momentum: in [0, 1).
        batch_size: most images in a batch.
        epochs: passes over the training split.
        schedule: ``constant`` or ``cosine``.
        seed: of the order of the batches.
        after_epoch: called with each record.

    Returns:
        The status, and one record per epoch begun.
    """
    weights = decayed_weights(classifier)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=learning_rate, momentum=momentum)
    records: list[EpochRecord] = []
    images = len(data.train_labels)
    for epoch in range(1, epochs + 1):
        classifier.train()
        total_loss, correct, seen = 0.0, 0, 0
        batches = shuffled_batches(images, batch_size, seed, epoch)
        for number, indices in enumerate(batches):
            rate = learning_rate_at(schedule, learning_rate, (epoch - 1 + number / len(batches)) / epochs)
            optimizer.param_groups[0]["lr"] = rate
            labels = data.train_labels[indices]
            scores = classifier(data.train_pixels[indices])
            loss = regularised_loss(scores, labels, weights, weight_decay)
            total_loss += loss.item() * len(indices)
            correct += int((scores.argmax(dim=1) == labels).sum())
            seen += len(indices)
            if not math.isfinite(total_loss):
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        validation = evaluate(classifier, data.validation_pixels, data.validation_labels)
        records.append(
            EpochRecord(
                epoch=epoch,
                learning_rate=rate,
                train_loss=_finite(total_loss / seen),
                train_accuracy=correct / seen,
                validation_loss=_finite(validation.loss),
                validation_accuracy=validation.accuracy,
            )
        )
        after_epoch(records[-1])
        if records[-1].train_loss is None or records[-1].validation_loss is None:
            return "diverged", records
    return "ok", records


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
