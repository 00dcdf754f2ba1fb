"""Read the images of a source that no earlier snapshot read."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages, PartWriter, Shape
from sanefit.components.dataset_snapshot.reading import BATCH_IMAGES, ReadImage, ReadingTask, read_batch
from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.reading import too_many_broken
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.image_dataset.splits import split_of
from sanefit.components.foundation.machine.parallel_work import working_in_parallel
from sanefit.components.foundation.schemas.images import DataSettings, SplitName
from sanefit.components.foundation.step_lines.step_log import Say

PROGRESS_EVERY = 10_000


def read_new_images(
    settings: DataSettings,
    images: Sequence[SourceImage],
    identities: Sequence[bytes],
    decoded: DecodedImages,
    writer: PartWriter,
    scratch: Path,
    workers: int,
    say: Say,
) -> None:
    """Read and decode what is not known; broken files are noted.

    Full parts are written, and the last one when S3 does not answer, so that they need not be read again.

    Args:
        settings: how images are decoded and split, and how many may be broken.
        images: the source's listing.
        identities: of each image, as ``identity_of`` gives it.
        decoded: what is known; takes the new ones.
        writer: takes what is read; after this, it holds what is still to be written.
        scratch: a local folder for pixels on their way.
        workers: processes that read.
        say: prints a line.

    Raises:
        DataError: when an image cannot be read, images differ in size, or too many files are broken.
        StorageError: when S3 does not give an image, or a part cannot be written.
    """
    new = [number for number, identity in enumerate(identities) if identity not in decoded.digest_of]
    if not new:
        return
    if len(new) < len(images):
        say(f"{len(new):,} of {len(images):,} images are new; the others are known from earlier snapshots")
    known_file = scratch / "known.npy"
    np.save(known_file, np.sort(np.array(list(decoded.place_of), dtype="S32")))
    intake = _Intake(settings, images, identities, decoded, writer, len(new), say)
    batches = [new[start : start + BATCH_IMAGES] for start in range(0, len(new), BATCH_IMAGES)]
    tasks = (
        ReadingTask([images[number] for number in batch], settings, known_file, scratch / f"{place}.pixels")
        for place, batch in enumerate(batches)
    )
    try:
        with working_in_parallel(workers) as in_parallel:
            for place, (batch, read) in enumerate(zip(batches, in_parallel(read_batch, tasks), strict=True)):
                pixels_file = scratch / f"{place}.pixels"
                with pixels_file.open("rb") as pixels:
                    for number, image in zip(batch, read, strict=True):
                        intake.take(number, image, pixels)
                pixels_file.unlink()
                if writer.full:
                    writer.write(decoded)
    except StorageError:
        with contextlib.suppress(StorageError):  # of the storage, when it is the source that does not answer
            writer.write(decoded)
        raise


class _Intake:
    """Takes what the workers read, in the order of the listing."""

    def __init__(
        self,
        settings: DataSettings,
        images: Sequence[SourceImage],
        identities: Sequence[bytes],
        decoded: DecodedImages,
        writer: PartWriter,
        new: int,
        say: Say,
    ) -> None:
        self._settings, self._images, self._identities = settings, images, identities
        self._decoded, self._writer, self._new, self._say = decoded, writer, new, say
        self._written: set[bytes] = set()
        self._broken: dict[bytes, str] = {}
        self._read = 0
        self._shape, self._first = _shape_and_path(images, identities, decoded)

    def take(self, number: int, read: ReadImage, pixels_file: IO[bytes]) -> None:
        """Take an image, and its pixels from the file's present position."""
        image = self._images[number]
        if read.shape:
            if self._shape is None:
                self._shape, self._first = (read.shape[0], read.shape[1], read.shape[2]), image.path
            if read.shape != self._shape:
                raise sizes_differ(image.path, read.shape, self._first, self._shape)
            pixels = pixels_file.read(int(np.prod(read.shape)))
            if read.digest not in self._written:
                split = split_of_image(image, read.digest, self._settings)
                self._writer.add_pixels(read.digest, split, self._shape, pixels)
                self._written.add(read.digest)
        elif read.broken:
            self._broken[read.digest] = read.broken
            require_few_broken(self._settings, self._broken.values(), len(self._images), finished=False)
        self._note(self._identities[number], read)
        self._read += 1
        if self._read % PROGRESS_EVERY == 0:
            self._say(f"read {self._read:,} of {self._new:,} images")

    def _note(self, identity: bytes, read: ReadImage) -> None:
        self._writer.add(identity, read.digest, read.broken)
        self._decoded.digest_of[identity] = read.digest
        if read.broken:
            self._decoded.broken[identity] = read.broken


def _shape_and_path(
    images: Sequence[SourceImage], identities: Sequence[bytes], decoded: DecodedImages
) -> tuple[Shape | None, str]:
    """Of the first image that is known already."""
    for image, identity in zip(images, identities, strict=True):
        place = decoded.place_of.get(decoded.digest_of.get(identity, b""))
        if place is not None:
            return decoded.shapes[place[0]], image.path
    return None, ""


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
