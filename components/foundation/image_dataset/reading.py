"""Listed images to pixels."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.picture_content import as_gray, pixel_digest
from sanefit.components.foundation.image_dataset.prepared_pixels import DecodedImage, Preparation, decode_file
from sanefit.components.foundation.image_dataset.sources.object_in_store import ObjectInStore
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.image_dataset.splits import content_digest
from sanefit.components.foundation.schemas.data_settings import DataSettings

FETCHED_AT_ONCE = 16
REASONS_SHOWN = 3


def contents_of(images: list[SourceImage]) -> Iterable[bytes]:
    """The images' bytes, in order; from S3 many at once, for each takes the time of a round trip.

    Raises:
        DataError, StorageError: when the source does not give one.
    """
    if not any(isinstance(image.location, ObjectInStore) for image in images):
        return (image.location.read() for image in images)
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        return list(pool.map(lambda image: image.location.read(), images))


def decode_image(image: SourceImage, content: bytes, settings: DataSettings) -> DecodedImage:
    """One channel where it is gray.

    Raises:
        DataError: when it is no whole image.
    """
    shape = settings.source_kind.pixels
    if shape is None:
        return decode_file(content, image.path, preparation_of(settings))
    pixels = as_gray(np.frombuffer(content, dtype=np.uint8).reshape(shape))
    height, width, _ = shape
    return DecodedImage(pixels, pixels, (width, height), "RGB" if shape[2] == 3 else "L")


def digest_of_image(decoded: DecodedImage, settings: DataSettings) -> bytes:
    """What names the image in snapshots: SHA-256 of its pixels before they are scaled.

    Of pixels that a source gives, whose shape is always the same, as earlier versions had it.
    """
    if settings.source_kind.pixels is not None:
        return content_digest(decoded.unscaled.tobytes())
    return pixel_digest(decoded.unscaled)


def preparation_of(settings: DataSettings) -> Preparation:
    """How the files of a source become pixels."""
    return Preparation(settings.image_size, settings.background, settings.bit_depth, settings.large_jpegs)


def too_many_broken(settings: DataSettings, reasons: Sequence[str], files: int, *, so_far: bool = False) -> DataError:
    """For these reasons so many of all files are no images. ``so_far``: there may be more."""
    already = "already " if so_far else ""
    return DataError(
        f"{already}{len(reasons):,} of {files:,} files are no whole images: {' | '.join(reasons[:REASONS_SHOWN])}; "
        f"expected at most {settings.max_bad_fraction:.2%} (data.max_bad_fraction); repair or remove them, or raise it"
    )
