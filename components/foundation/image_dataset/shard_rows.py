"""A file of pixels, and the rows of it that a split holds."""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.pixel_files import pixel_file, read_chosen, read_span
from sanefit.components.foundation.storage import object_store

READ_AT_ONCE = 512
SPARSE = 8  # rows in between for one that is wanted: from there on each is asked for by itself


@dataclass(frozen=True)
class ShardRows:
    """A file of pixels, its local copy, and the rows of it, rising, that a split holds.

    ``path``: None where there is no room for a copy; then rows are read where they are. ``channels``: of the data set's
    images; a file of gray ones has one all the same.
    """

    uri: str
    path: Path | None
    sha256: str
    rows: NDArray[np.int64]
    channels: int


def verify_shard(shard: ShardRows) -> None:
    """Compare a file with its SHA-256.

    Raises:
        DataError: when it is not what the manifest says.
        StorageError: when it cannot be read.
    """
    if shard.path is not None:
        verify_file(shard.uri, shard.path, shard.sha256)
        return
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:  # there is room for one
        verify_file(shard.uri, object_store.local_copy(shard.uri, Path(folder)), shard.sha256)


def blocks_of(shard: ShardRows) -> Iterator[NDArray[np.uint8]]:
    """A split's images in a file, in the order of its rows: uint8 (some, height, width, channels)."""
    for block in _blocks_where_they_are(shard) if shard.path is None else _blocks_of_copy(shard, shard.path):
        yield block if block.shape[-1] == shard.channels else np.repeat(block, shard.channels, axis=-1)


def _blocks_of_copy(shard: ShardRows, path: Path) -> Iterator[NDArray[np.uint8]]:
    pixels = np.load(path, mmap_mode="r")
    for chosen in _rows_at_once(shard, pixels.shape):
        first, last = chosen[0], chosen[-1]
        yield pixels[first : last + 1] if last - first == len(chosen) - 1 else pixels[chosen]


def _blocks_where_they_are(shard: ShardRows) -> Iterator[NDArray[np.uint8]]:
    file = pixel_file(shard.uri, None)
    for chosen in _rows_at_once(shard, file.shape):
        first, last = int(chosen[0]), int(chosen[-1])
        dense = last - first < SPARSE * len(chosen)
        yield read_span(file, first, last + 1)[chosen - first] if dense else read_chosen(file, chosen)


def _rows_at_once(shard: ShardRows, shape: tuple[int, ...]) -> Iterator[NDArray[np.int64]]:
    size = images_at_once(shape[1:], READ_AT_ONCE)
    return (shard.rows[start : start + size] for start in range(0, len(shard.rows), size))


def verify_file(uri: str, path: Path, sha256: str) -> None:
    """Compare a file of a snapshot, read at ``path``, with its SHA-256.

    Raises:
        DataError: when it is not what its snapshot says.
    """
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
