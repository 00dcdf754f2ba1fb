"""Read the images of a source that no earlier snapshot read."""

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.part_writer import PartWriter
from sanefit.components.dataset_snapshot.reading import BATCH_IMAGES, BUFFERED, ReadImage, ReadingTask, read_batch
from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.reading import too_many_broken
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.image_dataset.splits import DIGEST_BYTES, split_of
from sanefit.components.foundation.machine.parallel_work import working_in_parallel
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.step_lines.step_log import Say

PROGRESS_EVERY = 10_000


@dataclass(frozen=True)
class ListedSource:
    """A source's images as it lists them, and ``identities``, of each, as ``identity_of`` gives it.

    ``settings``: how they are decoded and split, and how many may be broken. ``excluded``: numbers of those that need
    not be whole, nor of the others' size.
    """

    settings: DataSettings
    images: Sequence[SourceImage]
    identities: Sequence[bytes]
    excluded: frozenset[int] = frozenset()


def read_new_images(
    source: ListedSource, decoded: DecodedImages, writer: PartWriter, scratch: Path, workers: int, say: Say
) -> None:
    """Read and decode what is not known; broken files are noted.

    Full parts are written, and the last one when S3 does not answer, so that they need not be read again.

    Args:
        source: all images.
        decoded: what is known; takes the new ones.
        writer: takes what is read; after this, it holds what is still to be written.
        scratch: a local folder for pixels on their way.
        workers: processes that read.
        say: prints a line.

    Raises:
        DataError: when an image cannot be read, images differ in size, or too many files are broken.
        StorageError: when S3 does not give an image, or a part cannot be written.
    """
    new = [number for number, identity in enumerate(source.identities) if identity not in decoded.digest_of]
    if not new:
        return
    if len(new) < len(source.images):
        say(f"{len(new):,} of {len(source.images):,} images are new; the others are known from earlier snapshots")
    known_file = scratch / "known.npy"
    known = sorted((file + digest) for file, digest in decoded.digest_of_file.items() if digest in decoded.place_of)
    np.save(known_file, np.frombuffer(b"".join(known), dtype=np.uint8).reshape(-1, 2 * DIGEST_BYTES))
    intake = _Intake(source, decoded, writer, len(new), say)
    batches = [new[start : start + BATCH_IMAGES] for start in range(0, len(new), BATCH_IMAGES)]
    pixels_files = [scratch / f"{place}.pixels" for place in range(len(batches))]
    tasks = (
        ReadingTask([source.images[number] for number in batch], source.settings, known_file, pixels_file)
        for batch, pixels_file in zip(batches, pixels_files, strict=True)
    )
    try:
        with working_in_parallel(workers) as in_parallel:
            for batch, pixels_file, read in zip(batches, pixels_files, in_parallel(read_batch, tasks), strict=True):
                intake.take_batch(batch, read, pixels_file)
                if writer.full:
                    writer.write(decoded)
    except StorageError:
        with contextlib.suppress(StorageError):  # of the storage, when it is the source that does not answer
            writer.write(decoded)
        raise


class _Intake:
    """Takes what the workers read, in the order of the listing."""

    def __init__(self, source: ListedSource, decoded: DecodedImages, writer: PartWriter, new: int, say: Say) -> None:
        self._source, self._decoded, self._writer, self._new, self._say = source, decoded, writer, new, say
        self._written: set[bytes] = set()
        self._broken: dict[bytes, str] = {}
        self._read = 0
        self._shape, self._first = _shape_and_path(source, decoded)

    def take_batch(self, batch: Sequence[int], read: Sequence[ReadImage], pixels_file: Path) -> None:
        """Take the images of these numbers, and their pixels out of a file, which is removed."""
        with pixels_file.open("rb", buffering=BUFFERED) as pixels:
            for number, image in zip(batch, read, strict=True):
                self._take(number, image, pixels)
        pixels_file.unlink()

    def _take(self, number: int, read: ReadImage, pixels: IO[bytes]) -> None:
        excluded = number in self._source.excluded
        if read.shape:
            if not excluded:
                self._require_size(self._source.images[number].path, read.shape)
            self._take_pixels(self._source.images[number], read, read.shape, pixels)
        elif read.broken and not excluded:
            self._broken[read.digest] = read.broken
            files = len(self._source.images)
            require_few_broken(self._source.settings, self._broken.values(), files, finished=False)
        self._note(self._source.identities[number], read)
        self._read += 1
        if self._read % PROGRESS_EVERY == 0:
            self._say(f"read {self._read:,} of {self._new:,} images")

    def _take_pixels(self, image: SourceImage, read: ReadImage, shape: Sequence[int], pixels: IO[bytes]) -> None:
        """From the file's present position."""
        content = pixels.read(math.prod(shape))
        if read.digest not in self._written and read.digest not in self._decoded.place_of:
            self._writer.add_pixels(read, split_of_image(image, read.digest, self._source.settings), content)
            self._written.add(read.digest)

    def _require_size(self, path: str, shape: Sequence[int]) -> None:
        if not self._shape:
            self._shape, self._first = shape, path
        if tuple(shape[:2]) != tuple(self._shape[:2]):
            raise sizes_differ(path, shape, self._first, self._shape)

    def _note(self, identity: bytes, read: ReadImage) -> None:
        self._writer.add(identity, read)
        self._decoded.digest_of[identity] = read.digest
        if read.broken:
            self._decoded.broken[identity] = read.broken


def _shape_and_path(source: ListedSource, decoded: DecodedImages) -> tuple[Sequence[int], str]:
    """Of the first image that is known already; empty where there is none."""
    for number, (image, identity) in enumerate(zip(source.images, source.identities, strict=True)):
        place = decoded.place_of.get(decoded.digest_of.get(identity, b""))
        if place is not None and number not in source.excluded:
            return decoded.shapes[place[0]], image.path
    return (), ""


def split_of_image(image: SourceImage, digest: bytes, settings: DataSettings) -> SplitName:
    """Where the source puts it, when that was asked for, else where its content does."""
    return image.split or split_of(digest, settings.validation_fraction, settings.test_fraction)


def sizes_differ(path: str, shape: Sequence[int], other_path: str, other: Sequence[int]) -> DataError:
    """Two images that cannot be in one snapshot."""
    return DataError(
        f"{path!r} is {shape[1]}x{shape[0]} pixels but {other_path!r} is {other[1]}x{other[0]}; expected images of one "
        "size; set data.image_size to resize them"
    )


def require_few_broken(settings: DataSettings, reasons: Iterable[str], files: int, *, finished: bool) -> None:
    """Raise DataError when more than the allowed share of all files is broken; at once, when that is certain."""
    reasons = list(reasons)
    if len(reasons) > settings.max_bad_fraction * files:
        raise too_many_broken(settings, reasons, files, so_far=not finished)
