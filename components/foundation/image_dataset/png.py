"""Pixels as an image file."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of uint8 (height, width, 1 or 3), which loses nothing."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
