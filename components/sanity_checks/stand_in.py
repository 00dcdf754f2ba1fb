"""A small network that stands in for one that is too costly to be trained at any length in the checks."""

from dataclasses import replace

import torch

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.convnet import convnet
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.sanity_checks.setup import Setup

CHANNELS = (16, 32)
IMAGES = 200  # for means and standard deviations
LARGEST_SIDE = 64  # pixels: it would be costly itself on larger images
BATCH, RATE = 64, 0.03


def stand_in(setup: Setup) -> Setup | None:
    """The same images with a convnet of two blocks, trained by SGD with momentum; None where they are large."""
    height, width, channels = setup.train_pixels.shape[1:]
    if max(height, width) > LARGEST_SIDE:
        return None
    values = setup.images(IMAGES)[0].float()
    spread, mean = torch.std_mean(values, (0, 1, 2))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(setup.seed, "stand in"))
        network = convnet((height, width, channels), setup.classes, CHANNELS, "relu", batch_norm=True, dropout=0.0)
    normalization = InputNormalization(mean.tolist(), spread.clamp_min(1.0).tolist())
    return replace(setup, classifier=Classifier(normalization, network), optimizer="sgd", momentum=0.9)
