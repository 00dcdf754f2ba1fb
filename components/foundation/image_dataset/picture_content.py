"""What a picture shows, whatever file it came in: a digest of its pixels, and a thumbnail."""

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE = 16
BRIGHTNESS = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of red, green and blue, ITU-R BT.601
SPARSE = 16
SMALL = 2**14  # pixels; larger pictures are averaged in whole boxes first
LEAST_SIDE = 4 * THUMBNAIL_SIDE  # that this leaves


def as_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel of three that are equal everywhere; other pictures as they are: uint8 (height, width, 1 or 3)."""
    if pixels.shape[2] != 3:
        return pixels
    red, green, blue = pixels[0, 0].tolist()  # of most colored pictures, one pixel tells
    if not red == green == blue or not _equal_channels(pixels):
        return pixels
    return np.ascontiguousarray(pixels[:, :, :1])


def _equal_channels(pixels: NDArray[np.uint8]) -> bool:
    return np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])


def pixel_digest(pixels: NDArray[np.uint8]) -> bytes:
    """SHA-256 of a picture's shape and pixels, as ``as_gray`` gives them, row by row: 32 bytes.

    Of one color alone it is that of one pixel: such pictures are equal as soon as they are scaled.
    """
    if _is_blank(pixels):
        pixels = pixels[:1, :1]
    digest = hashlib.sha256(f"{pixels.shape} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _is_blank(pixels: NDArray[np.uint8]) -> bool:
    some = pixels[::SPARSE, ::SPARSE]  # of most pictures, a few pixels tell
    return bool((some == pixels[0, 0]).all()) and bool((pixels == pixels[0, 0]).all())


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of one picture, uint8 (height, width, 1 or 3): uint8 (THUMBNAIL_SIDE, THUMBNAIL_SIDE)."""
    height, width, channels = pixels.shape
    boxes = min(height, width) // LEAST_SIDE
    if height * width > SMALL and boxes > 1:
        picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).convert("L").reduce(boxes)
        pixels = np.asarray(picture)[:, :, np.newaxis]
    made: NDArray[np.uint8] = thumbnails(pixels[np.newaxis])[0]
    return made


def thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of many small pictures of one size: gray, scaled by triangles, as Pillow's bilinear filter does.

    Args:
        pixels: uint8 (pictures, height, width, 1 or 3).

    Returns:
        uint8 (pictures, THUMBNAIL_SIDE, THUMBNAIL_SIDE).
    """
    _, height, width, channels = pixels.shape
    gray = pixels[..., 0].astype(np.float32) if channels == 1 else pixels @ BRIGHTNESS
    scaled = _triangles(height) @ gray @ _triangles(width).T
    return np.rint(scaled).astype(np.uint8)


@cache
def _triangles(side: int) -> NDArray[np.float32]:
    """From the levels along a side to those of a thumbnail: float32 (THUMBNAIL_SIDE, side), rows that add up to 1."""
    scale = side / THUMBNAIL_SIDE
    centers = (np.arange(THUMBNAIL_SIDE) + 0.5) * scale
    distance = np.abs(np.arange(side) + 0.5 - centers[:, np.newaxis]) / max(scale, 1.0)
    weights = np.maximum(1 - distance, 0)
    shares: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
