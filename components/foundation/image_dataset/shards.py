"""Shards: the decoded images of a snapshot on disk, and reading them back."""

import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from components.foundation import object_store
from components.foundation.artifacts import DatasetReference, Manifest, Shard, SplitName
from components.foundation.errors import DataError

SHARD_BYTES = 64 * 2**20
MANIFEST_FILE = "manifest.json"


def write_shard(
    folder: Path,
    split: SplitName,
    number: int,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> Shard:
    """Write one shard.

    Args:
        folder: where the two files go.
        split: the split that they belong to.
        number: counts the shards of a split from 0.
        pixels: uint8 (images, height, width, channels).
        labels: int64 (images,), indices into the class names.
    """
    pixels_file, labels_file = f"{split}-{number:05d}.pixels.npy", f"{split}-{number:05d}.labels.npy"
    return Shard(
        split=split,
        images=len(pixels),
        pixels_file=pixels_file,
        pixels_sha256=_write_array(folder / pixels_file, pixels),
        labels_file=labels_file,
        labels_sha256=_write_array(folder / labels_file, labels),
    )


def read_manifest(dataset: DatasetReference) -> Manifest:
    """The manifest of a snapshot.

    Raises:
        DataError: when it is damaged, or of another version.
        StorageError: when it cannot be read.
    """
    uri = object_store.join(dataset.folder_uri, MANIFEST_FILE)
    try:
        return Manifest.model_validate_json(object_store.read_bytes(uri))
    except ValidationError as error:
        raise DataError(
            f"{uri!r} is no manifest of this version ({error.error_count()} errors in it); "
            "remove the snapshot and run again"
        ) from None


def iterate_shards(
    dataset: DatasetReference, split: SplitName, cache_folder: Path | None = None
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield each shard's pixels, memory-mapped, and labels, after comparing both with their SHA-256.

    Args:
        dataset: the snapshot.
        split: which of its splits.
        cache_folder: where shards in S3 are kept once downloaded; by default a folder
            ``sanefit-cache`` in the system's temporary folder.

    Raises:
        DataError: when a file is not what the manifest says.
        StorageError: when a file cannot be read.
    """
    cache = cache_folder or Path(tempfile.gettempdir()) / "sanefit-cache"
    for shard in read_manifest(dataset).shards:
        if shard.split == split:
            pixels = _verified(dataset, shard.pixels_file, shard.pixels_sha256, cache)
            labels = _verified(dataset, shard.labels_file, shard.labels_sha256, cache)
            yield np.load(pixels, mmap_mode="r"), np.load(labels)


def read_split(
    dataset: DatasetReference, split: SplitName, cache_folder: Path | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A whole split in memory: uint8 (images, height, width, channels) and int64 (images,).

    Raises:
        DataError, StorageError: as ``iterate_shards``.
    """
    shards = list(iterate_shards(dataset, split, cache_folder))
    if len(shards) == 1:
        return np.array(shards[0][0]), shards[0][1]
    return np.concatenate([s[0] for s in shards]), np.concatenate([s[1] for s in shards])


def _write_array(path: Path, array: NDArray[np.uint8] | NDArray[np.int64]) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array)
    path.write_bytes(buffer.getbuffer())
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def _verified(dataset: DatasetReference, file: str, sha256: str, cache: Path) -> Path:
    uri = object_store.join(dataset.folder_uri, file)
    path = object_store.local_copy(uri, cache)
    try:
        with path.open("rb") as opened:
            seen = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read shard {uri!r}: {error.strerror}; remove the snapshot and run again") from error
    if seen != sha256:
        raise DataError(
            f"shard {uri!r}, read at {str(path)!r}, has SHA-256 {seen[:12]}…; the manifest says {sha256[:12]}…; "
            f"remove {str(path)!r} if it is a copy, else the whole snapshot, and run again"
        )
    return path
