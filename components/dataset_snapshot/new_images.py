"""Read the images of a source that no earlier snapshot read."""

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.digest_table import DIGEST, Digests, as_bytes, as_rows, digests_in
from sanefit.components.dataset_snapshot.listed_images import ListedImages, Numbers
from sanefit.components.dataset_snapshot.part_writer import PartWriter
from sanefit.components.dataset_snapshot.reading import BATCH_IMAGES, BUFFERED, ReadImage, ReadingTask, read_batch
from sanefit.components.dataset_snapshot.split_codes import codes_by_content, codes_of, split_named
from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.reading import too_many_broken
from sanefit.components.foundation.image_dataset.sources.location import identity_of
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage, SourceImages
from sanefit.components.foundation.image_dataset.splits import digest_rows
from sanefit.components.foundation.machine.parallel_work import working_in_parallel
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.step_lines.step_log import Say

PROGRESS_EVERY = 10_000


@dataclass(frozen=True)
class ListedSource:
    """A source's images as it lists them, and ``identities``, of each, as ``identity_of`` gives it.

    ``settings``: how they are decoded and split, and how many may be broken. ``excluded``: numbers of those that need
    not be whole, nor of the others' size.
    """

    settings: DataSettings
    images: SourceImages
    identities: Digests
    excluded: frozenset[int] = frozenset()


def identities_of(images: Iterable[SourceImage]) -> Digests:
    """Of each image, what ``identity_of`` gives."""
    return np.fromiter((identity_of(image.location) for image in images), DIGEST)


def listed_in(source: ListedSource, decoded: DecodedImages) -> ListedImages:
    """All images of a source, once all are known."""
    _, digests = decoded.digest_of.find(source.identities)
    class_names, labels = source.images.classes()
    broken = np.flatnonzero(np.isin(source.identities, digests_in(decoded.broken))).tolist()
    return ListedImages(
        digests=digests,
        class_names=class_names,
        labels=labels,
        codes=codes_of(map(source.images.split, range(len(source.images)))),
        source=source.images,
        numbers=np.arange(len(source.images)),
        excluded=np.zeros(len(source.images), dtype=np.bool_),
        broken={number: decoded.broken[as_bytes(source.identities[number])] for number in broken},
    )


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
    new = np.flatnonzero(~decoded.digest_of.find(source.identities)[0])
    if not len(new):
        return
    if len(new) < len(source.images):
        say(f"{len(new):,} of {len(source.images):,} images are new; the others are known from earlier snapshots")
    known_file = scratch / "known.npy"
    np.save(known_file, _known_files(decoded))
    intake = _Intake(source, decoded, writer, len(new), say)
    batches = range(-(-len(new) // BATCH_IMAGES))
    pixels_file = "{}.pixels".format
    tasks = (
        ReadingTask(source.images.chosen(_batch(new, place)), source.settings, known_file, scratch / pixels_file(place))
        for place in batches
    )
    try:
        with working_in_parallel(workers) as in_parallel:
            for place, read in zip(batches, in_parallel(read_batch, tasks), strict=True):
                intake.take_batch(_batch(new, place), read, scratch / pixels_file(place))
                if writer.full:
                    writer.write(decoded)
                    intake.begin_anew()
        intake.note_unwritten()
    except StorageError:
        with contextlib.suppress(StorageError):  # of the storage, when it is the source that does not answer
            writer.write(decoded)
        raise


def _batch(new: Numbers, place: int) -> list[int]:
    numbers: list[int] = new[place * BATCH_IMAGES : (place + 1) * BATCH_IMAGES].tolist()
    return numbers


def _known_files(decoded: DecodedImages) -> NDArray[np.uint8]:
    """As ``ReadingTask.known_file``: those whose pixels are there."""
    files, shown = decoded.digest_of_file.items()
    there, _ = decoded.place_of.find(shown)
    return np.concatenate([as_rows(files[there]), as_rows(shown[there])], axis=1)


class _Intake:
    """Takes what the workers read, in the order of the listing."""

    def __init__(self, source: ListedSource, decoded: DecodedImages, writer: PartWriter, new: int, say: Say) -> None:
        self._source, self._decoded, self._writer, self._new, self._say = source, decoded, writer, new, say
        self._broken: dict[bytes, str] = {}
        self._read = 0
        self._shape, self._first = _shape_and_path(source, decoded)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what the writer has written."""
        self._pending: set[bytes] = set()
        self._unwritten: list[tuple[Digests, Digests]] = []

    def note_unwritten(self) -> None:
        """What is known of images that are still to be written."""
        for identities, digests in self._unwritten:
            self._decoded.digest_of.add(identities, digests)

    def take_batch(self, batch: Sequence[int], read: Sequence[ReadImage], pixels_file: Path) -> None:
        """Take the images of these numbers, and their pixels out of a file, which is removed."""
        identities, digests = self._source.identities[batch], digests_in(image.digest for image in read)
        there, _ = self._decoded.place_of.find(digests)
        settings = self._source.settings
        splits = codes_by_content(digests, settings.validation_fraction, settings.test_fraction).tolist()
        images = zip(batch, digest_rows(as_rows(identities)), read, there.tolist(), splits, strict=True)
        with pixels_file.open("rb", buffering=BUFFERED) as pixels:
            for number, identity, found, is_there, code in images:
                self._take(number, found)
                if found.shape:
                    content = pixels.read(math.prod(found.shape))
                    if not is_there and found.digest not in self._pending:
                        split = self._source.images.split(number) or split_named(code)
                        self._writer.add_pixels(found, split, content)
                        self._pending.add(found.digest)
                self._note(identity, found)
        self._unwritten.append((identities, digests))
        pixels_file.unlink()

    def _take(self, number: int, read: ReadImage) -> None:
        if number in self._source.excluded:
            return
        if read.shape:
            self._require_size(number, read.shape)
        elif read.broken:
            self._broken[read.digest] = read.broken
            files = len(self._source.images)
            require_few_broken(self._source.settings, self._broken.values(), files, finished=False)

    def _require_size(self, number: int, shape: Sequence[int]) -> None:
        if not self._shape:
            self._shape, self._first = shape, self._source.images.path(number)
        if tuple(shape[:2]) != tuple(self._shape[:2]):
            raise sizes_differ(self._source.images.path(number), shape, self._first, self._shape)

    def _note(self, identity: bytes, read: ReadImage) -> None:
        self._writer.add(identity, read)
        if read.broken:
            self._decoded.broken[identity] = read.broken
        self._read += 1
        if self._read % PROGRESS_EVERY == 0:
            self._say(f"read {self._read:,} of {self._new:,} images")


def _shape_and_path(source: ListedSource, decoded: DecodedImages) -> tuple[Sequence[int], str]:
    """Of the first image that is known already; empty where there is none."""
    known, digests = decoded.digest_of.find(source.identities)
    shards = decoded.places(digests)[:, 0]
    known &= shards >= 0
    known[list(source.excluded)] = False
    for number in np.flatnonzero(known)[:1].tolist():
        return decoded.shapes[shards[number]], source.images.path(number)
    return (), ""


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
