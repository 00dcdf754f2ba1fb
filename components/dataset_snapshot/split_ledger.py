"""Which split each image of a data set was put in, once and for all.

A ledger lies in ``splits/KEY/`` below the storage, in parts that are named by their content and never change. An image
that several parts put in several splits is in the one that is held out most: so what was held out is never trained on,
whatever is added, renamed or encoded anew, and whichever runs wrote at the same time.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.digest_table import as_rows, digests_of
from sanefit.components.dataset_snapshot.split_codes import HELD_OUT_FIRST, DigestSplits, code_of, digest_splits
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.splits import digest_array, digest_rows
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import SHORT, Storage

Pair = tuple[bytes, bytes]


@dataclass
class SplitLedger:
    """What all parts say.

    ``split_of``: by the digest of an image's pixels, of its file, or of a group. ``near``: pairs of near-duplicates.
    ``fractions``: of validation and test, that images were dealt by.
    """

    split_of: DigestSplits = field(default_factory=DigestSplits)
    near: set[Pair] = field(default_factory=set)
    fractions: set[tuple[float, float]] = field(default_factory=set)


def ledger_folder(settings: DataSettings, storage: Storage) -> str:
    """The ledger of a data set, which is a source and who splits it."""
    key = hashlib.sha256(f"1 {settings.source} {settings.splits}".encode()).hexdigest()
    return object_store.join(storage.split_ledgers, key[:SHORT])


def read_ledger(folder: str) -> SplitLedger:
    """All that its parts say; empty where there is none.

    Raises:
        StorageError: when a part cannot be read, or is damaged.
    """
    ledger = SplitLedger()
    for name in object_store.list_files(folder):
        arrays = _read_part(object_store.join(folder, name))
        for split in HELD_OUT_FIRST:
            digests = digests_of(arrays[split])
            ledger.split_of.hold_out(digests, np.full(len(digests), code_of(split), dtype=np.int8))
        validation, test = arrays["fractions"].tolist()
        ledger.fractions.add((validation, test))
        near = digest_rows(arrays["near"])
        ledger.near.update(zip(near[::2], near[1::2], strict=True))
    return ledger


def write_ledger(
    folder: str, split_of: Mapping[bytes, SplitName], near: Iterable[Pair], settings: DataSettings
) -> None:
    """Write a part with what is new; nothing, when nothing is.

    Args:
        folder: of the ledger.
        split_of, near: as in ``SplitLedger``.
        settings: has the fractions that images were dealt by.

    Raises:
        StorageError: when it cannot be written.
    """
    pairs = sorted(near)
    if not split_of and not pairs:
        return
    digests, codes = digest_splits(split_of).arrays()
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **{split: as_rows(digests[codes == code_of(split)]) for split in HELD_OUT_FIRST},  # type: ignore[arg-type]  # as allow_pickle
        near=digest_array([digest for pair in pairs for digest in pair]),
        fractions=np.array([settings.validation_fraction, settings.test_fraction]),
    )
    content = buffer.getvalue()
    object_store.write_bytes(object_store.join(folder, f"{hashlib.sha256(content).hexdigest()}.npz"), content)


def _read_part(uri: str) -> dict[str, NDArray[Any]]:
    content = object_store.read_bytes(uri)
    digest, _, _ = uri.rpartition("/")[2].partition(".")
    if hashlib.sha256(content).hexdigest() != digest:
        raise StorageError(
            f"{uri!r} is damaged; expected what its name says, which images were held out; restore it from a backup, "
            "or remove it if images may be dealt into splits anew"
        )
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)
