"""The images of a snapshot on disk: files of decoded pixels, and which rows of them each split holds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.pixel_files import Awaited, PixelFiles, read_awaited
from sanefit.components.foundation.image_dataset.shard_rows import ShardRows, blocks_of, verify_file, verify_shard
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest, SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.last_use import mark_used
from sanefit.components.foundation.storage.layout import MANIFEST_FILE, Storage
from sanefit.components.foundation.storage.object_store import join
from sanefit.components.foundation.storage.room import local_copies

FILE, ROW, LABEL, BUNDLE, DIGEST = range(5)  # columns of a split's index file


@dataclass
class SplitImages:
    """A split that stays on disk.

    Images are read rather than mapped into memory: so a set that is larger than the address space that a process
    may use can be read too, and a file that is cut off is an error and no crash. Files in a store that do not fit on
    this disk are read there, by ranges.

    ``labels``: int64 (images,). ``image_shape``: (height, width, channels). Gray images in a colored set are read as
    three equal channels.
    ``index``: int64 (images, 2), each image's place in ``shards`` and its row there.
    """

    shards: list[ShardRows]
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    image_shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        self._files = PixelFiles([(shard.uri, shard.path) for shard in self.shards])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def far(self) -> int:
        """How many files have no copy on this machine, for want of room: their images are read from the storage."""
        return sum(shard.path is None for shard in self.shards)

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
        files, rows = self.index[numbers].T
        awaited, gray = list[Awaited](), list[tuple[NDArray[np.int64], NDArray[np.uint8]]]()
        for file in np.unique(files).tolist():
            of_file = np.flatnonzero(files == file)
            found, places = pixels, of_file
            if self._files[file].shape[-1] != self.image_shape[-1]:
                found, places = np.empty((len(of_file), *self.image_shape[:2], 1), np.uint8), np.arange(len(of_file))
                gray.append((of_file, found))
            whole, size = memoryview(found.reshape(-1).data), math.prod(found.shape[1:])
            targets = [whole[place * size : (place + 1) * size] for place in places.tolist()]
            awaited += self._files.read(file, rows[of_file].tolist(), targets)
        read_awaited(awaited)
        for of_file, found in gray:
            pixels[of_file] = found
        return pixels

    def part(self, numbers: NDArray[np.int64]) -> "SplitImages":
        """The images with these numbers, in this order."""
        return SplitImages(self.shards, self.index[numbers], self.labels[numbers], self.image_shape)

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
    mark_used(snapshot_folder(dataset))
    index = read_index(dataset, split, manifest, cache)
    images = images_at(dataset, manifest, index, cache)
    if verify:
        for shard in images.shards:
            verify_shard(shard)
    return images


def read_index(
    dataset: DatasetReference, split: SplitName, manifest: Manifest, cache_folder: Path | None = None
) -> NDArray[np.int64]:
    """Where the images of a split are: int64 (images, 5), shard, row, label, bundle, and the digest's first 8 bytes.

    Images that belong together, as near-duplicates and those of a group do, are of one bundle.

    Raises:
        DataError: when the file is not what the manifest says.
        StorageError: when it cannot be read.
    """
    listed = manifest.splits[split]
    uri = join(snapshot_folder(dataset), listed.index_file)
    path = object_store.local_copy(uri, cache_folder or object_store.local_cache())
    verify_file(uri, path, listed.index_sha256)
    index: NDArray[np.int64] = np.load(path)
    return index


def images_at(
    dataset: DatasetReference, manifest: Manifest, index: NDArray[np.int64], cache_folder: Path | None = None
) -> SplitImages:
    """Some images of a snapshot, which stay on disk; only the files that hold them are fetched, if there is room.

    Args:
        dataset, cache_folder: as for ``open_split``.
        manifest: of the snapshot.
        index: int64 (images, 3 or more), each image's shard and row, its label, and what else there is.

    Raises:
        StorageError: when a file cannot be read.
    """
    used, files = np.unique(index[:, FILE], return_inverse=True)
    storage = Storage(dataset.storage)
    shards = [manifest.shards[number] for number in used]
    uris = [storage.below(shard.path) for shard in shards]
    copies = local_copies(uris, cache_folder or object_store.local_cache())
    return SplitImages(
        shards=[
            ShardRows(
                uri,
                copy,
                shard.sha256,
                np.sort(index[files == place, ROW]),
                manifest.image_shape[2],
            )
            for place, (shard, uri, copy) in enumerate(zip(shards, uris, copies, strict=True))
        ],
        index=np.column_stack([files, index[:, ROW]]),
        labels=np.ascontiguousarray(index[:, LABEL]),
        image_shape=manifest.image_shape,
    )


def read_split(
    dataset: DatasetReference, split: SplitName, cache_folder: Path | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A whole split in memory: uint8 (images, height, width, channels) and int64 (images,).

    Raises:
        DataError, StorageError: as ``open_split``.
    """
    images = open_split(dataset, split, cache_folder)
    return images.read_all(), images.labels
