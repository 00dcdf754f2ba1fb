"""The first layer of a network whose images are normalized pixel by pixel, or whitened."""

import torch
from torch import Tensor, nn

from sanefit.components.foundation.image_dataset.pixel_transform import PixelTransform


class PixelNormalization(nn.Module):
    """(image - shift) @ matrix; the statistics travel with the network's weights."""

    shift: Tensor
    matrix: Tensor | None

    def __init__(self, transform: PixelTransform) -> None:
        super().__init__()
        self.register_buffer("shift", torch.from_numpy(transform.shift))
        self.register_buffer("matrix", None if transform.matrix is None else torch.from_numpy(transform.matrix))

    def forward(self, pixels: Tensor) -> Tensor:
        """
        Args:
            pixels: uint8 (images, height, width, channels).

        Returns:
            float (images, channels, height, width).
        """
        values = pixels.to(self.shift.dtype) - self.shift
        if self.matrix is not None:
            values = (values.flatten(1) @ self.matrix).reshape(values.shape)
        return values.permute(0, 3, 1, 2)
