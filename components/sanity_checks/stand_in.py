"""A small network that stands in for one that is too costly to be trained at any length in the checks."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.convnet import convnet
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.sanity_checks.setup import Setup

CHANNELS = (16, 32)
LARGEST_SIDE = 64  # pixels: larger images are scaled down
TRAIN_IMAGES, VALIDATION_IMAGES = 3000, 2000
AT_ONCE = 64  # images
BATCH, RATE = 64, 0.03


def stand_in(setup: Setup) -> Setup:
    """Some of the same images, none above 64 pixels, and a convnet of two blocks, trained by SGD with momentum."""
    train = setup.drawn(TRAIN_IMAGES, values=TRAIN_IMAGES * setup.train_pixels[0].numel())
    validation = torch.arange(min(VALIDATION_IMAGES, len(setup.validation_labels)))
    pixels = _small(setup.train_pixels, train)
    height, width, channels = pixels.shape[1:]
    spread, mean = torch.std_mean(pixels.float(), (0, 1, 2))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(setup.seed, "stand in"))
        network = convnet((height, width, channels), setup.classes, CHANNELS, "relu", batch_norm=True, dropout=0.0)
    return replace(
        setup,
        classifier=Classifier(InputNormalization(mean.tolist(), spread.clamp_min(1.0).tolist()), network),
        optimizer="sgd",
        momentum=0.9,
        train_pixels=pixels,
        train_labels=setup.train_labels[train],
        validation_pixels=_small(setup.validation_pixels, validation),
        validation_labels=setup.validation_labels[validation],
    )


def is_scaled(setup: Setup) -> bool:
    """Whether images are scaled down for it: it may not see what tells the classes apart."""
    return max(setup.train_pixels.shape[1:3]) > LARGEST_SIDE


def _small(images: Images, numbers: Tensor) -> Tensor:
    """uint8 (images, height, width, channels), scaled by the mean over areas where they are large."""
    parts = []
    for some in numbers.split(AT_ONCE):
        part = images[some]
        factor = LARGEST_SIDE / max(part.shape[1:3])
        if factor < 1:
            size = [max(1, round(side * factor)) for side in part.shape[1:3]]
            scaled = functional.interpolate(part.permute(0, 3, 1, 2).float(), size, mode="area")
            part = scaled.round().to(torch.uint8).permute(0, 2, 3, 1)
        parts.append(part)
    return torch.cat(parts)
