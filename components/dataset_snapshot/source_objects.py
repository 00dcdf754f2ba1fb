"""Which objects of a store a snapshot was read from, and which version of each."""

import io
from collections.abc import Sequence

import pyarrow
from pyarrow import parquet

from sanefit.components.foundation.image_dataset.shards import snapshot_folder
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.remote_stores import StoredObject

OBJECTS_FILE = "objects.parquet"


def keep_objects(dataset: DatasetReference, objects: Sequence[StoredObject], say: Say) -> None:
    """Write them down beside the manifest, as the source had them when the snapshot was last taken; none are not.

    A table of uri, etag, bytes and version, which is empty where the store keeps no versions or does not say them.

    Raises:
        StorageError: when it cannot be written.
    """
    if not objects:
        return
    table = pyarrow.table(
        {
            "uri": [stored.uri for stored in objects],
            "etag": [stored.etag for stored in objects],
            "bytes": pyarrow.array([stored.size for stored in objects], pyarrow.int64()),
            "version": [stored.version for stored in objects],
        }
    )
    content = io.BytesIO()
    parquet.write_table(table, content, compression="zstd")
    object_store.write_bytes(object_store.join(snapshot_folder(dataset), OBJECTS_FILE), content.getvalue())
    versions = sum(bool(stored.version) for stored in objects)
    say(f"read from {len(objects):,} objects, {versions:,} of them pinned by a version: {OBJECTS_FILE} of the snapshot")
