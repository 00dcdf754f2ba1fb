"""A plain convolutional network for small images."""

from collections.abc import Sequence

from torch import nn


def convnet(image_shape: tuple[int, int, int], classes: int, channels: Sequence[int], batch_norm: bool) -> nn.Module:
    """Blocks of 3x3 convolution, batch norm, 2x2 max pooling and ReLU, then a linear layer.

    Pooling stops when a side is 1. Pooling before ReLU gives the same values as after it
    (both are monotone) on a quarter of the pixels.

    Args:
        image_shape: (height, width, channels).
        classes: number of scores.
        channels: output channels of each block.
        batch_norm: normalise before the activation (Ioffe & Szegedy 2015).

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).
    """
    height, width, previous = image_shape
    network = nn.Sequential()
    for number, count in enumerate(channels, start=1):
        network.add_module(f"conv{number}", nn.Conv2d(previous, count, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            network.add_module(f"norm{number}", nn.BatchNorm2d(count))
        if min(height, width) >= 2:
            network.add_module(f"pool{number}", nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        network.add_module(f"relu{number}", nn.ReLU())
        previous = count
    network.add_module("flatten", nn.Flatten())
    network.add_module("output", nn.Linear(previous * height * width, classes))
    return network
