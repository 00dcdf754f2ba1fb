"""The images of a snapshot on disk: files of decoded pixels, and which rows of them each split holds."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest, SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.object_store import join

MANIFEST_FILE = "manifest.json"
OPEN_FILES = 128
READ_AT_ONCE = 512
FILE, ROW, LABEL = range(3)  # columns of a split's index file


@dataclass(frozen=True)
class ShardRows:
    """A file of pixels, its local copy, and the rows of it, rising, that a split holds."""

    uri: str
    path: Path
    sha256: str
    rows: NDArray[np.int64]


def verify_shard(shard: ShardRows) -> None:
    """Compare a file with its SHA-256.

    Raises:
        DataError: when it is not what the manifest says.
    """
    _verify(shard.uri, shard.path, shard.sha256)


def blocks_of(shard: ShardRows) -> Iterator[NDArray[np.uint8]]:
    """A split's images in a file, in the order of its rows: uint8 (some, height, width, channels)."""
    pixels = np.load(shard.path, mmap_mode="r")
    size = images_at_once(pixels.shape[1:], READ_AT_ONCE)
    for start in range(0, len(shard.rows), size):
        chosen = shard.rows[start : start + size]
        first, last = chosen[0], chosen[-1]
        yield pixels[first : last + 1] if last - first == len(chosen) - 1 else pixels[chosen]


@dataclass
class SplitImages:
    """A split that stays on disk.

    Images are read rather than mapped into memory: so a set that is larger than the address space that a process
    may use can be read too, and a file that is cut off is an error and no crash.

    ``labels``: int64 (images,). ``image_shape``: (height, width, channels).
    ``index``: int64 (images, 2), each image's place in ``shards`` and its row there.
    """

    shards: list[ShardRows]
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    image_shape: tuple[int, int, int]
    _opened: OrderedDict[int, tuple[int, int]] = field(default_factory=OrderedDict, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_bytes(self) -> int:
        """Of one image."""
        return int(np.prod(self.image_shape))

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images with these numbers, in this order: uint8 (len(numbers), height, width, channels).

        Raises:
            DataError: when a file is cut off, or cannot be read.
        """
        pixels = np.empty((len(numbers), *self.image_shape), dtype=np.uint8)
        targets, size = memoryview(pixels.reshape(-1).data), self.image_bytes
        for place, (file, row) in enumerate(self.index[numbers].tolist()):
            descriptor, start = self._open(file)
            if os.preadv(descriptor, [targets[place * size : (place + 1) * size]], start + row * size) != size:
                path = str(self.shards[file].path)
                raise DataError(f"{path!r} is cut off; expected a whole file; remove it and run again")
        return pixels

    def read_all(self) -> NDArray[np.uint8]:
        """Every image, in order: uint8 (images, height, width, channels).

        Raises:
            DataError: as ``read``.
        """
        pixels = np.empty((len(self), *self.image_shape), dtype=np.uint8)
        for number, shard in enumerate(self.shards):
            places = np.flatnonzero(self.index[:, FILE] == number)
            places = places[np.argsort(self.index[places, ROW])]
            start = 0
            for block in blocks_of(shard):
                pixels[places[start : start + len(block)]] = block
                start += len(block)
        return pixels

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """All images, in order, this many at a time: uint8 (size or less, height, width, channels)."""
        for start in range(0, len(self), size):
            yield self.read(np.arange(start, min(start + size, len(self))))

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """Every image once, in the order in which they lie on disk: uint8 (some, height, width, channels)."""
        for shard in self.shards:
            yield from blocks_of(shard)

    def _open(self, file: int) -> tuple[int, int]:
        """A file's descriptor, and where its pixels start; the one longest unused makes room."""
        if file in self._opened:
            self._opened.move_to_end(file)
            return self._opened[file]
        if len(self._opened) >= OPEN_FILES:
            os.close(self._opened.popitem(last=False)[1][0])
        descriptor = os.open(self.shards[file].path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            np.lib.format.read_magic(opened)
            np.lib.format.read_array_header_1_0(opened)
            self._opened[file] = descriptor, opened.tell()
        return self._opened[file]

    def __del__(self) -> None:
        for descriptor, _ in self._opened.values():
            os.close(descriptor)


def snapshot_folder(dataset: DatasetReference) -> str:
    """Where a snapshot lies."""
    return Storage(dataset.storage).snapshot(dataset.fingerprint)


def read_manifest(dataset: DatasetReference) -> Manifest:
    """The manifest of a snapshot.

    Raises:
        DataError: when it is damaged, or of another version.
        StorageError: when it cannot be read.
    """
    uri = join(snapshot_folder(dataset), MANIFEST_FILE)
    try:
        return Manifest.model_validate_json(object_store.read_bytes(uri))
    except ValidationError as error:
        raise DataError(
            f"{uri!r} is no manifest of this version ({error.error_count()} errors in it); "
            "remove the snapshot and run again"
        ) from None


def open_split(
    dataset: DatasetReference,
    split: SplitName,
    cache_folder: Path | None = None,
    *,
    manifest: Manifest | None = None,
    verify: bool = True,
) -> SplitImages:
    """A split's images, which stay on disk, after comparing its files with their SHA-256.

    Args:
        dataset: the snapshot.
        split: which of its splits.
        cache_folder: where files in S3 are kept once downloaded; by default a folder
            ``sanefit-cache`` in the system's temporary folder.
        manifest: of the snapshot, where it was read before.
        verify: False leaves the comparison of the pixels to ``verify_shard``.

    Raises:
        DataError: when a file is not what the manifest says.
        StorageError: when a file cannot be read.
    """
    cache = cache_folder or object_store.local_cache()
    manifest = manifest or read_manifest(dataset)
    listed = manifest.splits[split]
    index_uri = join(snapshot_folder(dataset), listed.index_file)
    index_file = object_store.local_copy(index_uri, cache)
    _verify(index_uri, index_file, listed.index_sha256)
    index: NDArray[np.int64] = np.load(index_file)
    used, files = np.unique(index[:, FILE], return_inverse=True)
    storage = Storage(dataset.storage)
    shards = [manifest.shards[number] for number in used]
    images = SplitImages(
        shards=[
            ShardRows(uri, object_store.local_copy(uri, cache), shard.sha256, np.sort(index[files == place, ROW]))
            for place, (shard, uri) in enumerate((shard, storage.below(shard.path)) for shard in shards)
        ],
        index=np.column_stack([files, index[:, ROW]]),
        labels=np.ascontiguousarray(index[:, LABEL]),
        image_shape=manifest.image_shape,
    )
    if verify:
        for shard in images.shards:
            verify_shard(shard)
    return images


def read_split(
    dataset: DatasetReference, split: SplitName, cache_folder: Path | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A whole split in memory: uint8 (images, height, width, channels) and int64 (images,).

    Raises:
        DataError, StorageError: as ``open_split``.
    """
    images = open_split(dataset, split, cache_folder)
    return images.read_all(), images.labels


def _verify(uri: str, path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as opened:
            seen = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"cannot read {uri!r}: {error.strerror}; expected a file that its snapshot names; remove the snapshots and "
            "the decoded images of this storage and run again"
        ) from error
    if seen != sha256:
        raise DataError(
            f"{uri!r}, read at {str(path)!r}, has SHA-256 {seen[:12]}…; its snapshot says {sha256[:12]}…; "
            f"remove {str(path)!r} if it is a copy, else the folder that it lies in and the snapshot, and run again"
        )
