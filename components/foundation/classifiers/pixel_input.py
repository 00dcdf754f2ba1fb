"""What comes before a network: from raw pixels to normalized images of the size and the channels that it takes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.classifiers.own_pixels import OwnPixels
from sanefit.components.foundation.classifiers.pixel_normalization import PixelNormalization
from sanefit.components.foundation.image_dataset.pixel_transform import read_transform
from sanefit.components.foundation.schemas.statistics import ChannelStats


class GrayAsColor(nn.Module):
    """One channel as three equal ones."""

    def __init__(self, dimension: int) -> None:
        """``dimension``: of the channels, from the end: -1 of pixels, -3 of images."""
        super().__init__()
        self.dimension = dimension

    def forward(self, gray: Tensor) -> Tensor:
        """(images, height, width, 1) to (images, height, width, 3), or with the channels before height and width."""
        shape = list(gray.shape)
        shape[self.dimension] = 3
        return gray.expand(shape)


class ScaledImages(nn.Module):
    """Images of another size, by bilinear interpolation, as networks are usually trained."""

    def __init__(self, size: int) -> None:
        """``size``: pixels on both sides."""
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Float (images, channels, height, width) to (images, channels, size, size)."""
        return functional.interpolate(
            images,
            (self.size, self.size),
            mode="bilinear",
            align_corners=False,
            antialias=max(images.shape[2:]) > self.size,
        )


class ChannelsFirst(nn.Module):
    """Images whose channels lie before height and width in memory, too."""

    def forward(self, images: Tensor) -> Tensor:
        """Float (images, channels, height, width), as it is."""
        return images.clone(memory_format=torch.contiguous_format)  # contiguous() leaves one channel as it lies


def pixel_input(
    stats: ChannelStats,
    own: OwnPixels | None,
    size: int | None,
    *,
    gray_as_color: bool,
    layout: torch.memory_format = torch.channels_last,
) -> nn.Module:
    """From uint8 (images, height, width, channels) to float (images, channels, height, width).

    Args:
        stats: normalize the pixels, unless the network does so itself.
        own: the network's own mean and standard deviation.
        size: pixels on both sides that images are scaled to; None leaves them.
        gray_as_color: whether the images have one channel and the network wants three.
        layout: of the images in memory.

    Raises:
        StorageError: when the pixel transform cannot be read.
    """
    parts: list[nn.Module] = []
    if own is not None:
        parts += [GrayAsColor(-1)] if gray_as_color else []
        parts.append(InputNormalization(own.mean, own.std))
    else:
        parts.append(_by_the_data(stats))
        parts += [GrayAsColor(-3)] if gray_as_color else []
    if size is not None:
        parts.append(ScaledImages(size))
    if layout == torch.contiguous_format:
        parts.append(ChannelsFirst())
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts)


def _by_the_data(stats: ChannelStats) -> nn.Module:
    if stats.transform_uri:
        return PixelNormalization(read_transform(stats.transform_uri))
    return InputNormalization(stats.shift, stats.scale)
