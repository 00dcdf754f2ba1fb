"""Image files to uint8 pixels."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from components.foundation.errors import DataError


def decode(content: bytes, path: str, image_size: int | None) -> NDArray[np.uint8]:
    """Decode an image file to RGB.

    Args:
        content: the file.
        path: its name, for the error.
        image_size: when given, the image is scaled and cropped around its centre to this
            many pixels on both sides.

    Returns:
        uint8 (height, width, 3).

    Raises:
        DataError: when the file is broken, truncated, or no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                picture = _eight_bits(image).convert("RGB")
    except (
        OSError,
        SyntaxError,  # PIL raises it for broken PNG chunks
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise DataError(
            f"cannot decode {path!r} ({len(content)} bytes): {error}; expected a whole image file; repair or remove it"
        ) from error
    if image_size is not None:
        picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as its upper 8 bits; Pillow's own conversion cuts values off at 255."""
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
