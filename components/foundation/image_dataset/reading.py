"""Listed images to pixels."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.decoding import decode_picture, scale
from sanefit.components.foundation.image_dataset.picture_content import as_gray
from sanefit.components.foundation.image_dataset.sources.s3_object import S3Object
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.schemas.images import DataSettings

FETCHED_AT_ONCE = 16
REASONS_SHOWN = 3


def contents_of(images: list[SourceImage]) -> Iterable[bytes]:
    """The images' bytes, in order; from S3 many at once, for each takes the time of a round trip.

    Raises:
        DataError, StorageError: when the source does not give one.
    """
    if not any(isinstance(image.location, S3Object) for image in images):
        return (image.location.read() for image in images)
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        return list(pool.map(lambda image: image.location.read(), images))


@dataclass(frozen=True)
class DecodedImage:
    """One image.

    ``pixels``: uint8 (height, width, 1 or 3), contiguous. ``unscaled``: the same before it was scaled.
    ``mode``: of the file, as Pillow calls it. ``highest_level``: of 16-bit gray, else 0.
    """

    pixels: NDArray[np.uint8]
    unscaled: NDArray[np.uint8]
    mode: str
    highest_level: int = 0


def decode_image(image: SourceImage, content: bytes, settings: DataSettings) -> DecodedImage:
    """One channel where it is gray.

    Raises:
        DataError: when it is no whole image.
    """
    shape = settings.source_kind.pixels
    if shape is not None:
        pixels = as_gray(np.frombuffer(content, dtype=np.uint8).reshape(shape))
        return DecodedImage(pixels, pixels, "RGB" if shape[2] == 3 else "L")
    picture = decode_picture(content, image.path, settings.background, settings.bit_depth)
    pixels = as_gray(picture.pixels)
    scaled = pixels if settings.image_size is None else scale(pixels, settings.image_size)
    return DecodedImage(np.ascontiguousarray(scaled), pixels, picture.mode, picture.highest_level)


def too_many_broken(settings: DataSettings, reasons: Sequence[str], files: int, *, so_far: bool = False) -> DataError:
    """For these reasons so many of all files are no images. ``so_far``: there may be more."""
    already = "already " if so_far else ""
    return DataError(
        f"{already}{len(reasons):,} of {files:,} files are no whole images: {' | '.join(reasons[:REASONS_SHOWN])}; "
        f"expected at most {settings.max_bad_fraction:.2%} (data.max_bad_fraction); repair or remove them, or raise it"
    )
