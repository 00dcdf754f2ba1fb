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
UPRIGHT, ON_ITS_SIDE = 1, (5, 6, 7, 8)
LARGE = 1_000_000  # pixels
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

    ``pixels``: uint8 (height, width, 3). ``size``: width and height at full size, upright. ``mode``, ``file_format``:
    of the file, as Pillow calls them. ``highest_level``: of 16-bit gray, else 0.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    mode: str
    file_format: str
    highest_level: int = 0


def decode_picture(
    content: bytes,
    path: str,
    background: tuple[int, int, int] = WHITE,
    bit_depth: int = FULL_DEPTH,
    least_side: int | None = None,
) -> Picture:
    """Decode an image file to RGB: its first frame, upright, over a background where it is transparent.

    Args:
        content: the file; JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, HEIC or PNM, of any mode that Pillow reads.
        path: its name, for the error.
        background: levels 0-255 of red, green and blue.
        bit_depth: how many bits of 16-bit gray hold levels, 8 to 16; the highest 8 of them are kept.
        least_side: JPEG files of more than ``LARGE`` pixels are decoded at the smallest of JPEG's own scales, 1/2, 1/4
            and 1/8, that leaves both sides so long; None for full size.

    Raises:
        DataError: when the file is broken, truncated, empty, a decompression bomb, or no image, or its levels need
            more bits.
    """
    picture = _plain_jpeg(content, least_side)
    if picture is not None:
        return picture
    try:
        return _picture(content, background, bit_depth, least_side)
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


def _reduction(height: int, width: int, least_side: int | None) -> int:
    """1, 2, 4 or 8: what both sides are divided by. JPEG's other scales are slower."""
    if least_side is None or height * width <= LARGE:
        return 1
    return next((by for by in (8, 4, 2) if min(height, width) // by >= least_side), 1)


def _reduce(image: Image.Image, least_side: int | None) -> tuple[int, int] | None:
    """Let a JPEG be loaded at a smaller scale; its full size, upright, or None where it is not reduced."""
    width, height = image.size
    by = _reduction(height, width, least_side)
    if by == 1:
        return None
    image.draft(None, (width // by, height // by))
    turned = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) in ON_ITS_SIDE
    return (height, width) if turned else (width, height)


def _picture(content: bytes, background: tuple[int, int, int], bit_depth: int, least_side: int | None) -> Picture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            full = _reduce(image, least_side) if image.format == "JPEG" else None
            image.load()
            picture, highest = _eight_bits(ImageOps.exif_transpose(image), bit_depth)
            pixels = np.asarray(_rgb(picture, background), dtype=np.uint8)
            height, width, _ = pixels.shape
            return Picture(pixels, full or (width, height), image.mode, image.format or "", highest)


def _plain_jpeg(content: bytes, least_side: int | None) -> Picture | None:
    """A JPEG that needs no turning or conversion, by the same library as Pillow's, three times as fast.

    None for anything else, and for what is damaged: Pillow says what it is.
    """
    if not content.startswith(JPEG_START) or _may_be_turned(content):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
        if space not in ("YCbCr", "RGB") or height * width > (Image.MAX_IMAGE_PIXELS or 0):
            return None
        by = _reduction(height, width, least_side)
        # Sides of 0 are not looked at: all is decoded.
        least = (-(-height // by), -(-width // by)) if by > 1 else (0, 0)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            content, "RGB", min_height=least[0], min_width=least[1], min_factor=by
        )
    except ValueError:
        return None
    return Picture(pixels, (width, height), "RGB", "JPEG")


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
