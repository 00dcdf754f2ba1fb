"""Listed images to pixels."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.image_dataset.sources.digits import digits_pixels
from sanefit.components.foundation.image_dataset.sources.location import read_content
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.schemas.images import DataSettings
from sanefit.components.foundation.storage.s3_objects import StoredObject

FETCHED_AT_ONCE = 16
REASONS_SHOWN = 3


def contents_of(images: list[SourceImage]) -> Iterable[bytes]:
    """The images' bytes, in order; from S3 many at once, for each takes the time of a round trip.

    Raises:
        DataError, StorageError: when the source does not give one.
    """
    if not any(isinstance(image.location, StoredObject) for image in images):
        return (read_content(image.location) for image in images)
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        return list(pool.map(lambda image: read_content(image.location), images))


def decode_image(image: SourceImage, content: bytes, settings: DataSettings) -> NDArray[np.uint8]:
    """Uint8 (height, width, channels), contiguous.

    Raises:
        DataError: when it is no whole image.
    """
    if settings.source == "digits":
        return digits_pixels(content)
    return np.ascontiguousarray(decode(content, image.path, settings.image_size, settings.background))


def too_many_broken(settings: DataSettings, reasons: Sequence[str], files: int, *, so_far: bool = False) -> DataError:
    """For these reasons so many of all files are no images. ``so_far``: there may be more."""
    already = "already " if so_far else ""
    return DataError(
        f"{already}{len(reasons):,} of {files:,} files are no whole images: {' | '.join(reasons[:REASONS_SHOWN])}; "
        f"expected at most {settings.max_bad_fraction:.2%} (data.max_bad_fraction); repair or remove them, or raise it"
    )
