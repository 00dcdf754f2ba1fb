"""What a worker does with a batch of images: read, name by content, decode."""

import functools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.picture_content import SMALL, thumbnail, thumbnails
from sanefit.components.foundation.image_dataset.reading import contents_of, decode_image, digest_of_image
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.image_dataset.splits import DIGEST_BYTES, content_digest
from sanefit.components.foundation.schemas.data_settings import DataSettings

BATCH_IMAGES = 256
BUFFERED = 2**20  # bytes: images may be small


@dataclass(frozen=True)
class ReadingTask:
    """A batch of images to read.

    ``known_file``: uint8 (files, 64), the digests of files that need no decoding, rising, each with that of its pixels.
    ``pixels_file``: takes the pixels of the others.
    """

    images: list[SourceImage]
    settings: DataSettings
    known_file: Path
    pixels_file: Path


@dataclass(slots=True)
class ReadImage:
    """One image.

    ``file_digest``: SHA-256 of what was read. ``digest``: of its pixels; of the file where it is no image.
    ``shape``: of the pixels that were written, if any, and ``thumbnail``, of the same image, as bytes. ``size``: width
    and height before it was scaled. ``mode``, ``file_format``: as Pillow calls them; ``file_bytes``: how long the file
    is, 0 where there is none. ``highest_level``: of 16-bit gray, else 0. ``broken``: why it is no image, if it is none.
    """

    file_digest: bytes
    digest: bytes
    shape: tuple[int, ...] | None = None
    thumbnail: bytes = b""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    file_format: str = ""
    file_bytes: int = 0
    highest_level: int = 0
    broken: str = ""


def read_batch(task: ReadingTask) -> list[ReadImage]:
    """Read a batch's images, and append the pixels of those not known to the task's file.

    Raises:
        DataError, StorageError: when the source does not give an image.
    """
    known = _known_files(task.known_file)
    read: list[ReadImage] = []
    small: dict[int, NDArray[np.uint8]] = {}
    with task.pixels_file.open("wb", buffering=BUFFERED) as pixels_file:
        for image, content in zip(task.images, contents_of(task.images), strict=True):
            file_digest = content_digest(content)
            digest = known.get(file_digest)
            if digest is not None:
                read.append(ReadImage(file_digest, digest))
                continue
            try:
                decoded = decode_image(image, content, task.settings)
            except DataError as error:
                read.append(ReadImage(file_digest, file_digest, broken=str(error).split(";")[0]))
                continue
            pixels_file.write(decoded.pixels.data)
            shape, digest = decoded.pixels.shape, digest_of_image(decoded, task.settings)
            if math.prod(shape[:2]) <= SMALL:
                small[len(read)] = decoded.pixels
                made = b""
            else:
                made = thumbnail(decoded.pixels).tobytes()
            read.append(
                ReadImage(
                    file_digest=file_digest,
                    digest=digest,
                    shape=shape,
                    thumbnail=made,
                    size=decoded.size,
                    mode=decoded.mode,
                    file_format=decoded.file_format,
                    file_bytes=len(content) if decoded.file_format else 0,
                    highest_level=decoded.highest_level,
                )
            )
    for number, made in _thumbnails_of_small(small):
        read[number].thumbnail = made
    return read


def _thumbnails_of_small(pictures: Mapping[int, NDArray[np.uint8]]) -> Iterator[tuple[int, bytes]]:
    """Those of one size together: one by one, they would take longer than decoding."""
    numbers: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, pixels in pictures.items():
        numbers[pixels.shape].append(number)
    for same in numbers.values():
        for number, made in zip(same, thumbnails(np.stack([pictures[number] for number in same])), strict=True):
            yield number, made.tobytes()


@dataclass(frozen=True)
class KnownFiles:
    """``files``: their digests, rising; ``pixels``: uint8 (files, 32), the digests of what they show."""

    files: NDArray[np.bytes_]
    pixels: NDArray[np.uint8]

    def get(self, file_digest: bytes) -> bytes | None:
        """The digest of the pixels of a file, where that is known."""
        if not len(self.files):
            return None
        place = int(np.searchsorted(self.files, np.bytes_(file_digest)))
        if place < len(self.files) and self.files[place] == np.bytes_(file_digest):
            return bytes(self.pixels[place])
        return None


@functools.lru_cache(maxsize=1)
def _known_files(file: Path) -> KnownFiles:
    known: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    files = np.ascontiguousarray(known[:, :DIGEST_BYTES]).view(f"S{DIGEST_BYTES}")[:, 0]
    return KnownFiles(files, known[:, DIGEST_BYTES:])
