"""A plain convolutional network for small images."""

from collections.abc import Sequence

from torch import nn

from sanefit.components.foundation.classifiers.activations import activation, width_before
from sanefit.components.foundation.classifiers.keyed_dropout import KeyedDropout
from sanefit.components.foundation.schemas.network_kind import Activation


def convnet(
    image_shape: tuple[int, int, int],
    classes: int,
    channels: Sequence[int],
    activation_name: Activation,
    batch_norm: bool,
    dropout: float,
) -> nn.Module:
    """Blocks of 3x3 convolution, batch norm, 2x2 max pooling and activation, then dropout and a linear layer.

    Pooling stops when a side is 1. Pooling before the activation gives the same values as after it
    (both are monotone) on a quarter of the pixels.

    Args:
        image_shape: (height, width, channels).
        classes: number of scores.
        channels: output channels of each block.
        activation_name: of each block.
        batch_norm: normalize before the activation (Ioffe & Szegedy 2015).
        dropout: share of the last block's outputs that training sets to 0, in [0, 1).

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).
    """
    height, width, previous = image_shape
    network = nn.Sequential()
    for number, count in enumerate(channels, start=1):
        filters = width_before(activation_name, count)
        network.add_module(f"conv{number}", nn.Conv2d(previous, filters, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            network.add_module(f"norm{number}", nn.BatchNorm2d(filters))
        if min(height, width) >= 2:
            network.add_module(f"pool{number}", nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        network.add_module(f"activation{number}", activation(activation_name))
        previous = count
    network.add_module("flatten", nn.Flatten())
    if dropout:
        network.add_module("dropout", KeyedDropout(dropout))
    network.add_module("output", nn.Linear(previous * height * width, classes))
    return network
