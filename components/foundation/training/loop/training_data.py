"""The two splits that a training needs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest
from sanefit.components.foundation.training.loop.training_images import Images, on_device, training_images


@dataclass(frozen=True)
class TrainingData:
    """Pixels are uint8 (images, height, width, channels), labels int64 (images,).

    ``train_features``, ``validation_features``: what the frozen part of a pretrained network gives out for each image,
    float (images, ...), where that is known.
    """

    train_pixels: Images
    train_labels: Tensor
    validation_pixels: Images
    validation_labels: Tensor
    train_features: Tensor | None = None
    validation_features: Tensor | None = None


def read_training_data(
    dataset: DatasetReference, device: torch.device = CPU, manifest: Manifest | None = None
) -> TrainingData:
    """The training and validation splits of a snapshot, in the device's memory when they fit.

    Args:
        dataset: the snapshot.
        device: where images and labels go.
        manifest: of the snapshot, where it was read before.
    """
    train, validation = training_images(dataset, ("train", "validation"), device, manifest)
    return TrainingData(*train, *validation)


def data_on(data: TrainingData, device: torch.device) -> TrainingData:
    """The same images and labels on a device; images on disk stay there."""
    return TrainingData(
        on_device(data.train_pixels, device),
        data.train_labels.to(device),
        on_device(data.validation_pixels, device),
        data.validation_labels.to(device),
        None if data.train_features is None else data.train_features.to(device),
        None if data.validation_features is None else data.validation_features.to(device),
    )
