"""From settings to a network on raw pixels, and to the model that is served."""

from typing import assert_never

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.convnet import convnet
from sanefit.components.foundation.classifiers.initialization import initialize
from sanefit.components.foundation.classifiers.mlp import mlp
from sanefit.components.foundation.classifiers.own_module import layout_of, own_module
from sanefit.components.foundation.classifiers.own_pixels import own_pixels
from sanefit.components.foundation.classifiers.pixel_input import pixel_input
from sanefit.components.foundation.classifiers.pretrained_weights import load_pretrained
from sanefit.components.foundation.classifiers.resnet import resnet
from sanefit.components.foundation.classifiers.timm_network import timm_network
from sanefit.components.foundation.classifiers.torchvision_network import torchvision_network
from sanefit.components.foundation.schemas.network_kind import LibraryNetwork
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    ModuleSettings,
    NetworkSettings,
    ResNetSettings,
    TimmSettings,
    TorchvisionSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.statistics import ChannelStats


class Classifier(nn.Module):
    """Normalizing input layer, then a network: raw pixels to scores.

    ``pretrained``: names of the network's parameters and buffers that come from ``network.weights``. ``layout``: how
    images and kernels may lie in memory.
    """

    def __init__(
        self,
        normalization: nn.Module,
        network: nn.Module,
        pretrained: frozenset[str] = frozenset(),
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network
        self.pretrained = pretrained
        self.layout = layout

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (images, height, width, channels) to float scores (images, classes)."""
        scores: Tensor = self.network(self.normalization(pixels))
        return scores


def in_its_layout(classifier: Classifier) -> Classifier:
    """The same classifier, in place, with kernels that lie in memory as its images do."""
    return classifier.to(memory_format=classifier.layout)


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
    height, width, channels = image_shape
    size = settings.scaled_to
    gray_as_color = isinstance(settings, LibraryNetwork) and bool(settings.weights) and channels == 1
    taken = (size or height, size or width, 3 if gray_as_color else channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # where a network initializes itself
        network = _network(settings, taken, classes)
        layout = layout_of(network, taken) if isinstance(settings, ModuleSettings) else torch.channels_last
    generator = torch.Generator().manual_seed(seed)
    if settings.scheme is not None:
        initialize(network, settings.scheme, generator)
    pretrained = load_pretrained(network, settings.weights_uri) if settings.weights_uri else frozenset()
    own = own_pixels(settings, network) if settings.has_own_normalization else None
    normalization = pixel_input(stats, own, size, gray_as_color=gray_as_color, layout=layout)
    return Classifier(normalization, network, pretrained, layout)


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
        case TimmSettings(name=name):
            return timm_network(name, image_shape, classes)
        case ModuleSettings(path=path, arguments=arguments):
            return own_module(path, arguments, image_shape, classes)
        case _:
            assert_never(settings)
