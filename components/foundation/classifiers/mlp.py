"""Fully connected networks; with one hidden layer, the lecture's."""

import math
from collections.abc import Sequence

from torch import nn

from sanefit.components.foundation.classifiers.activations import activation, width_before
from sanefit.components.foundation.classifiers.keyed_dropout import KeyedDropout
from sanefit.components.foundation.schemas.network_kind import Activation


def mlp(
    image_shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int],
    activation_name: Activation,
    batch_norm: bool,
    dropout: float,
) -> nn.Module:
    """Hidden layers of linear, batch norm, activation and dropout on the flattened image, then a linear layer.

    Args:
        image_shape: (height, width, channels).
        classes: number of scores.
        widths: neurons of each hidden layer.
        activation_name: after each hidden layer.
        batch_norm: normalize before the activation (Ioffe & Szegedy 2015).
        dropout: share of a hidden layer's outputs that training sets to 0, in [0, 1).

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).
    """
    network = nn.Sequential()
    network.add_module("flatten", nn.Flatten())
    previous = math.prod(image_shape)
    for number, width in enumerate(widths, start=1):
        neurons = width_before(activation_name, width)
        network.add_module(f"hidden{number}", nn.Linear(previous, neurons, bias=not batch_norm))
        if batch_norm:
            network.add_module(f"norm{number}", nn.BatchNorm1d(neurons))
        network.add_module(f"activation{number}", activation(activation_name))
        if dropout:
            network.add_module(f"dropout{number}", KeyedDropout(dropout))
        previous = width
    network.add_module("output", nn.Linear(previous, classes))
    return network
