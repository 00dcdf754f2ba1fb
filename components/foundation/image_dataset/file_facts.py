"""What the files of a snapshot's images tell besides their pixels: how long each is, its picture's size, its format."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.shard_rows import verify_file
from sanefit.components.foundation.image_dataset.shards import snapshot_folder
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest, SplitName
from sanefit.components.foundation.storage import object_store

BYTES, WIDTH, HEIGHT, FORMAT = range(4)  # columns


def read_file_facts(
    dataset: DatasetReference, split: SplitName, manifest: Manifest, cache_folder: Path | None = None
) -> NDArray[np.int64] | None:
    """Int64 (images, 4), in the order of the split's index: bytes, width and height before scaling, format.

    A format is its place in the manifest's ``file_formats``. Of equal images in several files, those of the file that
    was read first. None where the source has no files, or an earlier version read some of them.

    Raises:
        DataError: when the file is not what the manifest says.
        StorageError: when it cannot be read.
    """
    listed = manifest.splits[split]
    if not listed.facts_file:
        return None
    uri = object_store.join(snapshot_folder(dataset), listed.facts_file)
    path = object_store.local_copy(uri, cache_folder or object_store.local_cache())
    verify_file(uri, path, listed.facts_sha256)
    facts: NDArray[np.int64] = np.load(path)
    return facts
