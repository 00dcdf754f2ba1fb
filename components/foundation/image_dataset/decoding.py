"""Image files to uint8 pixels."""

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
import pi_heif
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
FULL_DEPTH = 16  # bits of a level, at most
UNUSED_BITS = 2  # that are worth a word
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF")
pi_heif.register_heif_opener()


def decode(
    content: bytes, path: str, background: tuple[int, int, int] = WHITE, bit_depth: int = FULL_DEPTH
) -> NDArray[np.uint8]:
    """The pixels of an image file: uint8 (height, width, 3). As ``decode_picture``."""
    return decode_picture(content, path, background, bit_depth).pixels


@dataclass(frozen=True)
class Picture:
    """What a file holds.

    ``pixels``: uint8 (height, width, 3). ``mode``, ``file_format``: of the file, as Pillow calls them.
    ``highest_level``: of 16-bit gray, else 0.
    """

    pixels: NDArray[np.uint8]
    mode: str
    file_format: str
    highest_level: int = 0


def decode_picture(
    content: bytes, path: str, background: tuple[int, int, int] = WHITE, bit_depth: int = FULL_DEPTH
) -> Picture:
    """Decode an image file to RGB: its first frame, upright, over a background where it is transparent.

    Args:
        content: the file; JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, HEIC or PNM, of any mode that Pillow reads.
        path: its name, for the error.
        background: levels 0-255 of red, green and blue.
        bit_depth: how many bits of 16-bit gray hold levels, 8 to 16; the highest 8 of them are kept.

    Raises:
        DataError: when the file is broken, truncated, empty, a decompression bomb, or no image, or its levels need
            more bits.
    """
    pixels = _plain_jpeg(content)
    if pixels is not None:
        return Picture(pixels, "RGB", "JPEG")
    try:
        return _picture(content, background, bit_depth)
    except UNDECODABLE as error:
        reason = "no image that can be identified" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(
            f"cannot decode {path!r} ({len(content)} bytes): {reason or type(error).__name__}; expected a whole image "
            "file; repair or remove it"
        ) from error


def unused_bits(highest: int, bit_depth: int) -> str:
    """A warning, when a set's 16-bit images leave so many bits unused that few gray levels are left; else empty.

    Args:
        highest: level of all of them, 0 where there are none.
        bit_depth: ``data.bit_depth``.
    """
    bits = max(8, highest.bit_length())
    if highest == 0 or bits > bit_depth - UNUSED_BITS:
        return ""
    return (
        f"warning: the highest level of all 16-bit images is {highest:,}, of {2**bit_depth - 1:,}: "
        f"{(highest >> (bit_depth - 8)) + 1} of 256 levels are left; set data.bit_depth={bits}"
    )


def scale(pixels: NDArray[np.uint8], image_size: int | tuple[int, int]) -> NDArray[np.uint8]:
    """Scale an image, keeping its proportions, and crop it around its center.

    Args:
        pixels: uint8 (height, width, 1 or 3).
        image_size: (height, width), each above 0, or one number for both.

    Returns:
        uint8 (height, width, 1 or 3) of that size.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    scaled = np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR))
    return scaled.reshape(height, width, pixels.shape[2])


def _picture(content: bytes, background: tuple[int, int, int], bit_depth: int) -> Picture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.load()
            picture, highest = _eight_bits(ImageOps.exif_transpose(image), bit_depth)
            pixels = np.asarray(_rgb(picture, background), dtype=np.uint8)
            return Picture(pixels, image.mode, image.format or "", highest)


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


def _eight_bits(image: Image.Image, bit_depth: int) -> tuple[Image.Image, int]:
    """16-bit gray as the upper 8 of the bits that it uses, and its highest level.

    Pillow's own conversion cuts values off at 255.
    """
    if image.mode.startswith("I;16") or image.mode == "I":
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() >= 2**bit_depth:
            raise ValueError(f"gray levels from {levels.min()} to {levels.max()}, expected {bit_depth} bits")
        return Image.fromarray((levels >> (bit_depth - 8)).astype(np.uint8)), int(levels.max())
    if image.mode == "F":
        raise ValueError("floating-point levels have no stated range")
    return image, 0


def _rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (*background, 255)), over).convert("RGB")
    return image.convert("RGB")
