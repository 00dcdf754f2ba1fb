"""The images that earlier snapshots decoded with the same settings, and adding to them.

They lie in ``decoded/KEY/PART/`` below the storage. A part is written whole or not at all, and never changes: files of
pixels, gray images apart from colored ones and those of each split together, as long as no image moves; and
``images.npz``, which says what was read and where its pixels are. So a snapshot that breaks off goes on from its last
part, and the next one reads only what is new.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.digest_table import DIGEST, Digests, DigestTable, as_bytes, digests_of
from sanefit.components.dataset_snapshot.rows_by_shard import rows_by_shard
from sanefit.components.foundation.image_dataset.picture_content import THUMBNAIL_SIDE
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference, Shard
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.last_use import wait_until_settled
from sanefit.components.foundation.storage.layout import IMAGES_FILE, Storage, decoded_folder

Shape = tuple[int, int, int]
Places = NDArray[np.int64]
ROW_BITS = 32  # of a place; those above number the shard


def _last_digest() -> DigestTable:
    return DigestTable(DIGEST)


@dataclass
class DecodedImages:
    """What is known of images that were read before.

    ``digest_of``: the digest of an image's pixels, by where it was. ``broken``: why there is no image there.
    ``digest_of_file``: that of its pixels by that of the file. ``place_of``: an image's shard and row, as one number,
    by the digest of its pixels. ``highest_level``: of 16-bit gray, by the digest of its pixels. ``shapes``: of the
    images of each shard. Of each shard: ``thumbnails``, uint8 (images, side, side); ``sizes``, int32 (images, 2), width
    and height before images were scaled; ``modes``, ``formats``, of their files, as Pillow calls them; ``file_bytes``,
    how long the files are, int64, 0 where that is not known.
    """

    digest_of: DigestTable = field(default_factory=_last_digest)
    broken: dict[bytes, str] = field(default_factory=dict)
    digest_of_file: DigestTable = field(default_factory=_last_digest)
    place_of: DigestTable = field(default_factory=lambda: DigestTable(np.int64, first=True))
    highest_level: dict[bytes, int] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)
    sizes: list[NDArray[np.int32]] = field(default_factory=list)
    modes: list[NDArray[np.str_]] = field(default_factory=list)
    formats: list[NDArray[np.str_]] = field(default_factory=list)
    file_bytes: list[NDArray[np.int64]] = field(default_factory=list)

    def places(self, digests: Digests) -> Places:
        """Shards and rows, int64 (len(digests), 2); -1 where an image is not known."""
        known, places = self.place_of.find(digests)
        found = np.column_stack([places >> ROW_BITS, places & (2**ROW_BITS - 1)])
        found[~known] = -1
        return found

    def thumbnails_of(self, digests: Digests) -> "ThumbnailsInOrder":
        """Those of images that are known, in this order."""
        return ThumbnailsInOrder(self.thumbnails, self.places(digests))


@dataclass(frozen=True)
class ThumbnailsInOrder:
    """Thumbnails where they lie, shard by shard, and the place of each."""

    shards: Sequence[NDArray[np.uint8]]
    places: Places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, numbers: slice | NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Some: uint8 (some, side, side)."""
        places = self.places[numbers]
        found = np.empty((len(places), THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8)
        for shard, of_shard, rows in rows_by_shard(places):
            found[of_shard] = self.shards[shard][rows]
        return found


def folder_of(settings: DataSettings) -> str:
    """Where the images decoded as these settings say are, below the storage."""
    content = settings.source_kind.content
    key = hashlib.sha256(f"3 {content} {settings.decoding}".encode()).hexdigest()
    return decoded_folder(key)


def read_decoded(storage: Storage, folder: str) -> DecodedImages:
    """All parts of a folder below the storage, in the order of their names.

    Raises:
        StorageError: when one cannot be read.
    """
    decoded = DecodedImages()
    for name in object_store.list_folders(storage.below(folder)):
        part = f"{folder}/{name}"
        if not _is_whole(storage.below(part)):
            continue
        uri = object_store.join(storage.below(part), IMAGES_FILE)
        with np.load(io.BytesIO(object_store.read_bytes(uri))) as arrays:
            take_part(decoded, part, dict(arrays))
    return decoded


def _is_whole(part: str) -> bool:
    """Not of one whose upload broke off, of which this file is the last, nor of one that was removed."""
    wait_until_settled(part)
    return object_store.exists(object_store.join(part, IMAGES_FILE))


def all_there(dataset: DatasetReference) -> bool:
    """Whether all pixels of a snapshot are there, and stay.

    Raises:
        DataError, StorageError: as ``read_manifest``.
    """
    storage = Storage(dataset.storage)
    parts = {shard.path.rpartition("/")[0] for shard in read_manifest(dataset).shards}
    return all(_is_whole(storage.below(part)) for part in sorted(parts))


def take_part(decoded: DecodedImages, path: str, arrays: dict[str, np.ndarray]) -> None:
    """Add a part, by its path below the storage and what its ``images.npz`` holds."""
    identities, files, digests = (digests_of(arrays[name]) for name in ("identities", "files", "digests"))
    decoded.digest_of.add(identities, digests)
    decoded.digest_of_file.add(files, digests)
    reasons = zip(arrays["broken"].tolist(), arrays["reasons"].tolist(), strict=True)
    decoded.broken.update({as_bytes(identities[number]): reason for number, reason in reasons})
    levels = zip(arrays["deep"].tolist(), arrays["highest_levels"].tolist(), strict=True)
    decoded.highest_level.update({as_bytes(digests[number]): level for number, level in levels})
    for name in sorted(key.removesuffix("_sha256") for key in arrays if key.endswith("_sha256")):
        rows = digests_of(arrays[name])
        height, width, channels = arrays[f"{name}_shape"].tolist()
        decoded.place_of.add(rows, (len(decoded.shards) << ROW_BITS) + np.arange(len(rows)))
        decoded.shards.append(Shard(path=f"{path}/{name}.npy", sha256=str(arrays[f"{name}_sha256"]), images=len(rows)))
        decoded.shapes.append((height, width, channels))
        decoded.thumbnails.append(arrays[f"{name}_thumbnails"])
        decoded.sizes.append(arrays[f"{name}_sizes"])
        decoded.modes.append(arrays[f"{name}_modes"])
        decoded.formats.append(arrays.get(f"{name}_formats", np.full(len(rows), "")))  # parts of earlier versions
        decoded.file_bytes.append(arrays.get(f"{name}_bytes", np.zeros(len(rows), dtype=np.int64)))
