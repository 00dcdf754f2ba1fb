"""What the images of a snapshot are called in its source.

An image is its pixels, so a snapshot is the same under other names. Those that its source had when the snapshot was
last taken lie beside the manifest, which does not name them.
"""

import io
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.shards import snapshot_folder
from sanefit.components.foundation.schemas.images import DatasetReference, SplitName
from sanefit.components.foundation.schemas.sources import kind_of
from sanefit.components.foundation.storage import object_store

NAMES_FILE = "names.npz"


@dataclass(frozen=True)
class ImageNames:
    """Of a split, in the order of its index. ``text``: all of them, UTF-8; ``ends``: int64 (images,), of each there."""

    text: bytes
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> str:
        """The name of an image; what is not UTF-8 in it is as the operating system gives it."""
        start = int(self.ends[number - 1]) if number else 0
        return self.text[start : int(self.ends[number])].decode("utf-8", "surrogateescape")


def name_in_source(source: str, path: str) -> str:
    """What an image is called below its source: without the folder that ``data.source`` names, or that its table is in.

    Args:
        source: ``data.source``.
        path: as the source lists it, or as a person wrote it.
    """
    kind = kind_of(source)
    root = kind.place(source)
    if kind.is_table:
        root = root.rpartition("/")[0]
    return path.removeprefix(f"{root.rstrip('/')}/") if root else path


def keep_names(dataset: DatasetReference, names: Mapping[SplitName, Iterable[str]]) -> None:
    """Write down the names of each split's images, in the order of its index, unless they are there already.

    Raises:
        StorageError: when they cannot be read or written.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, of_split in names.items():
        text, ends = bytearray(), array("q")
        for name in of_split:
            text += name.encode("utf-8", "surrogateescape")
            ends.append(len(text))
        arrays[f"{split}_text"] = np.frombuffer(bytes(text), dtype=np.uint8)
        arrays[f"{split}_ends"] = np.array(ends, dtype=np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes them for allow_pickle
    uri = _uri(dataset)
    if not object_store.exists(uri) or object_store.read_bytes(uri) != buffer.getvalue():
        object_store.write_bytes(uri, buffer.getvalue())


def read_names(dataset: DatasetReference, split: SplitName) -> ImageNames | None:
    """The names of a split's images; None where an earlier version took the snapshot.

    Raises:
        StorageError: when they cannot be read.
    """
    uri = _uri(dataset)
    if not object_store.exists(uri):
        return None
    try:
        with np.load(io.BytesIO(object_store.read_bytes(uri))) as arrays:
            return ImageNames(arrays[f"{split}_text"].tobytes(), arrays[f"{split}_ends"])
    except (ValueError, KeyError, OSError) as error:
        raise StorageError(f"{uri!r} is damaged ({error}); expected names of images; remove it and run again") from None


def _uri(dataset: DatasetReference) -> str:
    return object_store.join(snapshot_folder(dataset), NAMES_FILE)
