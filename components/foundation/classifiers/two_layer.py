"""The lecture's network."""

import math

from torch import nn


def two_layer(image_shape: tuple[int, int, int], classes: int, hidden: int) -> nn.Module:
    """Linear, ReLU, linear on the flattened image.

    Args:
        image_shape: (height, width, channels).
        classes: number of scores.
        hidden: width of the hidden layer.

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).
    """
    network = nn.Sequential()
    network.add_module("flatten", nn.Flatten())
    network.add_module("hidden", nn.Linear(math.prod(image_shape), hidden))
    network.add_module("relu", nn.ReLU())
    network.add_module("output", nn.Linear(hidden, classes))
    return network
