"""From settings to a network on raw pixels, and to the model that is served."""

import torch
from torch import Tensor, nn

from components.foundation.artifacts import ChannelStats
from components.foundation.classifiers.convnet import convnet
from components.foundation.classifiers.initialisation import initialise
from components.foundation.classifiers.input_normalisation import InputNormalisation
from components.foundation.classifiers.two_layer import two_layer
from components.foundation.settings import ConvNetSettings, TwoLayerSettings


class Classifier(nn.Module):
    """Normalising input layer, then a network: raw pixels to scores."""

    def __init__(self, normalisation: InputNormalisation, network: nn.Module) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (images, height, width, channels) to float scores (images, classes)."""
        scores: Tensor = self.network(self.normalisation(pixels))
        return scores


class ProbabilityModel(nn.Module):
    """What is registered and served: raw pixels to class probabilities."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (images, height, width, channels) to float probabilities (images, classes)."""
        return torch.softmax(self.classifier(pixels), dim=1)


def build_classifier(
    settings: TwoLayerSettings | ConvNetSettings,
    image_shape: tuple[int, int, int],
    classes: int,
    stats: ChannelStats,
    seed: int,
) -> Classifier:
    """A freshly initialised classifier.

    Args:
        settings: the network.
        image_shape: (height, width, channels).
        classes: how many.
        stats: gives the normalisation.
        seed: of the initial weights.
    """
    match settings:
        case TwoLayerSettings():
            network = two_layer(image_shape, classes, settings.hidden)
        case ConvNetSettings():
            network = convnet(image_shape, classes, settings.channels, settings.batch_norm)
    initialise(network, settings.init, torch.Generator().manual_seed(seed))
    return Classifier(InputNormalisation(stats.shift, stats.scale), network)
