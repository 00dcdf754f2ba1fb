"""A file of pixels, and the rows of it that a split holds."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.batch_size import images_at_once

READ_AT_ONCE = 512


@dataclass(frozen=True)
class ShardRows:
    """A file of pixels, its local copy, and the rows of it, rising, that a split holds.

    ``channels``: of the data set's images; a file of gray ones has one all the same.
    """

    uri: str
    path: Path
    sha256: str
    rows: NDArray[np.int64]
    channels: int


def verify_shard(shard: ShardRows) -> None:
    """Compare a file with its SHA-256.

    Raises:
        DataError: when it is not what the manifest says.
    """
    verify_file(shard.uri, shard.path, shard.sha256)


def blocks_of(shard: ShardRows) -> Iterator[NDArray[np.uint8]]:
    """A split's images in a file, in the order of its rows: uint8 (some, height, width, channels)."""
    pixels = np.load(shard.path, mmap_mode="r")
    size = images_at_once(pixels.shape[1:], READ_AT_ONCE)
    for start in range(0, len(shard.rows), size):
        chosen = shard.rows[start : start + size]
        first, last = chosen[0], chosen[-1]
        block = pixels[first : last + 1] if last - first == len(chosen) - 1 else pixels[chosen]
        yield block if block.shape[-1] == shard.channels else np.repeat(block, shard.channels, axis=-1)


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
