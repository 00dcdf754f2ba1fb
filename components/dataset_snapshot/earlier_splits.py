"""Where images were before their data set had a ledger: in ledgers of other data sets, and in snapshots of old."""

import io
import json
from collections.abc import Iterable, Mapping

import numpy as np

from sanefit.components.dataset_snapshot.split_ledger import SplitLedger, read_ledger
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.shards import FILE, ROW
from sanefit.components.foundation.image_dataset.splits import digest_rows
from sanefit.components.foundation.schemas.images import SPLITS, SplitName
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import IMAGES_FILE, MANIFEST_FILE, WITHOUT_LEDGER, Storage
from sanefit.components.foundation.storage.object_store import join


def earlier_splits(
    storage: Storage, digests: Iterable[bytes], digest_of_file: Mapping[bytes, bytes], say: Say
) -> SplitLedger:
    """The split of each image that any data set of this storage has held: so a source may be renamed, or upgraded.

    Args:
        storage: that runs share.
        digests: of the images' pixels.
        digest_of_file: the digest of an image's pixels by that of its file.
        say: prints a line about a snapshot that lacks files.

    Raises:
        StorageError: when a ledger cannot be read.
    """
    wanted, found = set(digests), SplitLedger()
    for name in object_store.list_folders(storage.split_ledgers):
        for digest, split in read_ledger(join(storage.split_ledgers, name)).split_of.items():
            if digest in wanted:
                found.hold_out(digest, split)
    for name in object_store.list_folders(storage.snapshots):
        try:
            held = list(_in_old_snapshot(storage, join(storage.snapshots, name)))
        except StorageError:
            say(f"warning: snapshot {name} of an earlier version lacks its images; what it held out is not known")
            continue
        for file_digest, split in held:
            if digest_of_file.get(file_digest) in wanted:
                found.hold_out(digest_of_file[file_digest], split)
    return found


def _in_old_snapshot(storage: Storage, folder: str) -> Iterable[tuple[bytes, SplitName]]:
    """The digests of the files of each split."""
    uri = join(folder, MANIFEST_FILE)
    if not object_store.exists(uri):
        return
    manifest = json.loads(object_store.read_bytes(uri))
    if manifest.get("format_version") != WITHOUT_LEDGER:
        return
    files = [_files_of(storage, shard["path"]) for shard in manifest["shards"]]
    for split in SPLITS:
        index = np.load(io.BytesIO(object_store.read_bytes(join(folder, manifest["splits"][split]["index_file"]))))
        for file, row in index[:, [FILE, ROW]].tolist():
            yield files[file][row], split


def _files_of(storage: Storage, shard: str) -> list[bytes]:
    part, _, name = shard.rpartition("/")
    with np.load(io.BytesIO(object_store.read_bytes(storage.below(join(part, IMAGES_FILE))))) as arrays:
        return digest_rows(arrays[name.removesuffix(".npy")])
