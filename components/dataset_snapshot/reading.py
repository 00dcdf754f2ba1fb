"""What a worker does with a batch of images: read, name by content, decode."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.reading import contents_of, decode_image
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.image_dataset.splits import content_digest
from sanefit.components.foundation.schemas.images import DataSettings

BATCH_IMAGES = 256


@dataclass(frozen=True)
class ReadingTask:
    """A batch of images to read.

    ``known_file``: sorted digests, an array of bytes, of images that need no decoding. ``pixels_file``: takes the
    pixels of the others.
    """

    images: list[SourceImage]
    settings: DataSettings
    known_file: Path
    pixels_file: Path


@dataclass(frozen=True)
class ReadImage:
    """One image's SHA-256; the shape of the pixels that were written, if any; why it is no image, if it is none."""

    digest: bytes
    shape: tuple[int, ...] | None = None
    broken: str = ""


def read_batch(task: ReadingTask) -> list[ReadImage]:
    """Read a batch's images, and append the pixels of those not known to the task's file.

    Raises:
        DataError, StorageError: when the source does not give an image.
    """
    known = _known_digests(task.known_file)
    read = []
    with task.pixels_file.open("wb") as pixels_file:
        for image, content in zip(task.images, contents_of(task.images), strict=True):
            digest = content_digest(content)
            if _among(known, digest):
                read.append(ReadImage(digest))
                continue
            try:
                pixels = decode_image(image, content, task.settings)
            except DataError as error:
                read.append(ReadImage(digest, broken=str(error).split(";")[0]))
                continue
            pixels_file.write(pixels.data)
            read.append(ReadImage(digest, pixels.shape))
    return read


@functools.lru_cache(maxsize=1)
def _known_digests(file: Path) -> NDArray[np.bytes_]:
    known: NDArray[np.bytes_] = np.load(file, mmap_mode="r")
    return known


def _among(known: NDArray[np.bytes_], digest: bytes) -> bool:
    place = int(np.searchsorted(known, np.bytes_(digest)))
    return place < len(known) and known[place] == np.bytes_(digest)
