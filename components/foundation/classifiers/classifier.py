"""From settings to a network on raw pixels, and to the model that is served."""

from typing import assert_never

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.convnet import convnet
from sanefit.components.foundation.classifiers.initialization import initialize
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.classifiers.mlp import mlp
from sanefit.components.foundation.classifiers.own_module import own_module
from sanefit.components.foundation.classifiers.pixel_normalization import PixelNormalization
from sanefit.components.foundation.classifiers.pretrained_weights import load_pretrained
from sanefit.components.foundation.classifiers.resnet import resnet
from sanefit.components.foundation.classifiers.torchvision_network import torchvision_network
from sanefit.components.foundation.image_dataset.pixel_transform import read_transform
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    ModuleSettings,
    NetworkSettings,
    ResNetSettings,
    TorchvisionSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats


class Classifier(nn.Module):
    """Normalizing input layer, then a network: raw pixels to scores."""

    def __init__(self, normalization: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (images, height, width, channels) to float scores (images, classes)."""
        scores: Tensor = self.network(self.normalization(pixels))
        return scores


class ProbabilityModel(nn.Module):
    """What is registered and served: raw pixels to class probabilities.

    ``classifier``: from raw pixels to scores. ``temperature``: what these are divided by before the softmax.
    """

    def __init__(self, classifier: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.classifier = classifier
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (images, height, width, channels) to float probabilities (images, classes)."""
        return torch.softmax(self.classifier(pixels) / self.temperature, dim=1)


def build_classifier(
    settings: NetworkSettings,
    image_shape: tuple[int, int, int],
    classes: int,
    stats: ChannelStats,
    seed: int,
) -> Classifier:
    """A freshly initialized classifier.

    Args:
        settings: the network.
        image_shape: (height, width, channels).
        classes: how many.
        stats: gives the normalization.
        seed: of the initial weights.

    Raises:
        SettingsError: when there is no such network, or its weights cannot be used.
        StorageError: when its weights cannot be read.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # where a network initializes itself
        network = _network(settings, image_shape, classes)
    generator = torch.Generator().manual_seed(seed)
    if settings.scheme is not None:
        initialize(network, settings.scheme, generator)
    if settings.weights_uri:
        load_pretrained(network, settings.weights_uri)
    return Classifier(_normalization(stats), network)


def _normalization(stats: ChannelStats) -> nn.Module:
    if stats.transform_uri:
        return PixelNormalization(read_transform(stats.transform_uri))
    return InputNormalization(stats.shift, stats.scale)


def _network(settings: NetworkSettings, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    match settings:
        case TwoLayerSettings(hidden=hidden, activation=activation, batch_norm=batch_norm, dropout=dropout):
            return mlp(image_shape, classes, (hidden,), activation, batch_norm, dropout)
        case MlpSettings(depth=depth, width=width, activation=activation, batch_norm=batch_norm, dropout=dropout):
            return mlp(image_shape, classes, (width,) * depth, activation, batch_norm, dropout)
        case ConvNetSettings(channels=channels, activation=activation, batch_norm=batch_norm, dropout=dropout):
            return convnet(image_shape, classes, channels, activation, batch_norm, dropout)
        case ResNetSettings(channels=channels, blocks=blocks, activation=activation, dropout=dropout):
            return resnet(image_shape, classes, channels, blocks, activation, dropout)
        case TorchvisionSettings(name=name):
            return torchvision_network(name, image_shape, classes)
        case ModuleSettings(path=path, arguments=arguments):
            return own_module(path, arguments, image_shape, classes)
        case _:
            assert_never(settings)
