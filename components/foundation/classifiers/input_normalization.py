"""The first layer of every network: raw pixels to normalized channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class InputNormalization(nn.Module):
    """(pixel - shift) / scale per channel; the statistics travel with the network's weights."""

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Sequence[float], scale: Sequence[float]) -> None:
        """
        Args:
            shift: one value per channel, pixel units 0-255.
            scale: one value per channel, pixel units, above 0.
        """
        super().__init__()
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32).reshape(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """
        Args:
            pixels: uint8 (images, height, width, channels).

        Returns:
            float (images, channels, height, width).
        """
        width = pixels.shape[2]
        rows = pixels.to(self.shift.dtype).flatten(2)
        # Row by row: with the statistics repeated along it, several times as fast as channel by channel.
        rows = (rows - _along(self.shift, width)).div_(_along(self.scale, width))
        images: Tensor = rows.unflatten(2, (width, -1))
        return images.permute(0, 3, 1, 2)


def _along(per_channel: Tensor, width: int) -> Tensor:
    """(channels, 1, 1) as (width * channels,), as the values of a row of pixels lie."""
    return per_channel.flatten().expand(width, -1).flatten()
