"""Image files to uint8 pixels."""

import io
import struct
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from sanefit.components.foundation.errors import DataError

WHITE = (255, 255, 255)
JPEG_START = b"\xff\xd8\xff"
EXIF, EXIF_WITHIN = b"Exif\0\0", 2**17
UPRIGHT = 1
UNDECODABLE = (
    OSError,
    SyntaxError,  # Pillow raises it for broken PNG chunks
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    NotImplementedError,
    struct.error,
    MemoryError,
    EOFError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")


def decode(
    content: bytes, path: str, image_size: int | None, background: tuple[int, int, int] = WHITE
) -> NDArray[np.uint8]:
    """Decode an image file to RGB: its first frame, upright, over a background where it is transparent.

    Args:
        content: the file; JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or PNM, of any mode that Pillow reads.
        path: its name, for the error.
        image_size: when given, the image is scaled and cropped around its center to this
            many pixels on both sides.
        background: levels 0-255 of red, green and blue.

    Returns:
        uint8 (height, width, 3).

    Raises:
        DataError: when the file is broken, truncated, empty, a decompression bomb, or no image.
    """
    pixels = _plain_jpeg(content)
    if pixels is not None and image_size is None:
        return pixels
    try:
        picture = _picture(content, background) if pixels is None else Image.fromarray(pixels)
    except UNDECODABLE as error:
        reason = "no image that can be identified" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(
            f"cannot decode {path!r} ({len(content)} bytes): {reason or type(error).__name__}; expected a whole image "
            "file; repair or remove it"
        ) from error
    if image_size is not None:
        picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def _picture(content: bytes, background: tuple[int, int, int]) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            return _rgb(_eight_bits(ImageOps.exif_transpose(image)), background)


def _plain_jpeg(content: bytes) -> NDArray[np.uint8] | None:
    """A JPEG that needs no turning or conversion, by the same library as Pillow's, three times as fast.

    None for anything else, and for what is damaged: Pillow says what it is.
    """
    if not content.startswith(JPEG_START) or _may_be_turned(content):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
        if space not in ("YCbCr", "RGB") or height * width > (Image.MAX_IMAGE_PIXELS or 0):
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:
        return None
    return pixels


def _may_be_turned(content: bytes) -> bool:
    """Whether Exif data says how the camera was held."""
    if EXIF not in content[:EXIF_WITHIN]:
        return False
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return bool(image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) != UPRIGHT)
    except UNDECODABLE:
        return True


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray as its upper 8 bits; Pillow's own conversion cuts values off at 255."""
    if image.mode.startswith("I;16") or image.mode == "I":
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 0xFFFF:
            raise ValueError(f"gray levels from {levels.min()} to {levels.max()}, expected 16 bits")
        return Image.fromarray((levels >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point levels have no stated range")
    return image


def _rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (*background, 255)), over).convert("RGB")
    return image.convert("RGB")
