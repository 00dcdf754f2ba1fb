"""Where images were before their data set had a ledger: in ledgers of other data sets, and in snapshots of old."""

import io
import json
from collections.abc import Iterable

import numpy as np

from sanefit.components.dataset_snapshot.digest_table import Digests, DigestTable, digests_in
from sanefit.components.dataset_snapshot.split_codes import HELD_OUT_FIRST, NO_SPLIT, DigestSplits, code_of, codes_of
from sanefit.components.dataset_snapshot.split_ledger import read_ledger
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.shards import FILE, ROW
from sanefit.components.foundation.image_dataset.splits import digest_rows
from sanefit.components.foundation.schemas.images import SPLITS, SplitName
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import IMAGES_FILE, MANIFEST_FILE, WITHOUT_LEDGER, Storage
from sanefit.components.foundation.storage.object_store import join


def earlier_splits(storage: Storage, digests: Digests, digest_of_file: DigestTable, say: Say) -> DigestSplits:
    """The split of each image that any data set of this storage has held: so a source may be renamed, or upgraded.

    Args:
        storage: that runs share.
        digests: of the images' pixels, and of their files.
        digest_of_file: the digest of an image's pixels by that of its file.
        say: prints a line about a snapshot that lacks files.

    Raises:
        StorageError: when a ledger cannot be read.
    """
    found = DigestSplits()
    for name in object_store.list_folders(storage.split_ledgers):
        codes = read_ledger(join(storage.split_ledgers, name)).split_of.codes(digests)
        known = codes != NO_SPLIT
        found.hold_out(digests[known], codes[known])
    for name in object_store.list_folders(storage.snapshots):
        try:
            held = list(_in_old_snapshot(storage, join(storage.snapshots, name)))
        except StorageError:
            say(f"warning: snapshot {name} of an earlier version lacks its images; what it held out is not known")
            continue
        files = digests_in(file for file, _ in held)
        known, shown = digest_of_file.find(files)
        known &= np.isin(shown, digests)
        for split in HELD_OUT_FIRST:
            of_split = np.unique(shown[known & (codes_of([split for _, split in held]) == code_of(split))])
            found.hold_out(of_split, np.full(len(of_split), code_of(split), dtype=np.int8))
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
