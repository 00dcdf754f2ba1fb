"""A residual network for small images (He et al. 2016, section 4.2)."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from sanefit.components.foundation.classifiers.activations import activation, width_before
from sanefit.components.foundation.classifiers.keyed_dropout import KeyedDropout
from sanefit.components.foundation.schemas.network_kind import Activation


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and the input added before the last activation.

    Where the shape changes, a strided 1x1 convolution with batch norm brings the input to it. Its stride is taken by
    hand: in its backward pass oneDNN (of torch 2.14, on a CPU) writes past its memory for few channels and odd batches.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation_name: Activation) -> None:
        super().__init__()
        inner = width_before(activation_name, channels_out)
        self.conv1 = nn.Conv2d(channels_in, inner, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.activation1 = activation(activation_name)
        self.conv2 = nn.Conv2d(channels_out, inner, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != inner:
            projection = nn.Conv2d(channels_in, inner, 1, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=projection, norm=nn.BatchNorm2d(inner)))
        self.activation2 = activation(activation_name)
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Float (images, channels_in, height, width) to float (images, channels_out, height / stride, ...)."""
        inner = self.activation1(self.norm1(self.conv1(images)))
        shortcut = self.shortcut(images[:, :, :: self.stride, :: self.stride] if self.stride > 1 else images)
        added: Tensor = self.activation2(self.norm2(self.conv2(inner)) + shortcut)
        return added


def resnet(
    image_shape: tuple[int, int, int],
    classes: int,
    channels: Sequence[int],
    blocks: int,
    activation_name: Activation,
    dropout: float,
) -> nn.Module:
    """A 3x3 convolution, stages of residual blocks, each after the first at half the size, and a linear layer.

    Args:
        image_shape: (height, width, channels).
        classes: number of scores.
        channels: of each stage.
        blocks: in each stage; 3 stages of 3 blocks are the paper's ResNet-20.
        activation_name: of each block.
        dropout: share of the pooled features that training sets to 0, in [0, 1).

    Returns:
        A module from float (images, channels, height, width) to scores (images, classes).
    """
    network = nn.Sequential()
    first = width_before(activation_name, channels[0])
    network.add_module("conv", nn.Conv2d(image_shape[2], first, 3, padding=1, bias=False))
    network.add_module("norm", nn.BatchNorm2d(first))
    network.add_module("activation", activation(activation_name))
    previous = channels[0]
    for stage, count in enumerate(channels, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            network.add_module(f"stage{stage}_block{block}", ResidualBlock(previous, count, stride, activation_name))
            previous = count
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    if dropout:
        network.add_module("dropout", KeyedDropout(dropout))
    network.add_module("output", nn.Linear(previous, classes))
    return network
