"""The images that earlier snapshots decoded with the same settings, and adding to them.

They lie in ``decoded/KEY/PART/`` below the storage. A part is written whole or not at all, and never changes: a file
of pixels for each split, and ``images.npz``, which says what was read and where its pixels are. So a snapshot that
breaks off goes on from its last part, and the next one reads only what is new.
"""

import hashlib
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from sanefit.components.dataset_snapshot.publishing import published
from sanefit.components.foundation.schemas.images import SPLITS, DataSettings, Shard, SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage, decoded_folder

SHARD_BYTES = 64 * 2**20
COPIED_AT_ONCE = 2**20
IMAGES_FILE = "images.npz"
DIGEST_BYTES = 32
Shape = tuple[int, int, int]


@dataclass
class DecodedImages:
    """What is known of images that were read before.

    ``digest_of``: an image's content, by where it was. ``broken``: why there is no image there. ``place_of``: an
    image's shard and row, by content. ``shapes``: of the images of each shard.
    """

    digest_of: dict[bytes, bytes] = field(default_factory=dict)
    broken: dict[bytes, str] = field(default_factory=dict)
    place_of: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)


def folder_of(settings: DataSettings) -> str:
    """Where the images decoded as these settings say are, below the storage."""
    content = settings.source_kind.content
    key = hashlib.sha256(f"1 {content} {settings.image_size} {settings.background}".encode()).hexdigest()
    return decoded_folder(key)


def read_decoded(storage: Storage, folder: str) -> DecodedImages:
    """All parts of a folder below the storage, in the order of their names.

    Raises:
        StorageError: when one cannot be read.
    """
    decoded = DecodedImages()
    for name in object_store.list_folders(storage.below(folder)):
        part = f"{folder}/{name}"
        uri = object_store.join(storage.below(part), IMAGES_FILE)
        if object_store.is_s3(uri) and not object_store.exists(uri):
            continue  # an upload that broke off: this file is its last
        with np.load(io.BytesIO(object_store.read_bytes(uri))) as arrays:
            _take(decoded, part, dict(arrays))
    return decoded


def _take(decoded: DecodedImages, path: str, arrays: dict[str, np.ndarray]) -> None:
    identities, digests = _rows(arrays["identities"]), _rows(arrays["digests"])
    decoded.digest_of.update(zip(identities, digests, strict=True))
    reasons = zip(arrays["broken"].tolist(), arrays["reasons"].tolist(), strict=True)
    decoded.broken.update({identities[number]: reason for number, reason in reasons})
    for split in SPLITS:
        rows = _rows(arrays[split])
        if not rows:
            continue
        shard = Shard(path=f"{path}/{split}.npy", sha256=str(arrays[f"{split}_sha256"]), images=len(rows))
        height, width, channels = arrays["shape"].tolist()
        for row, digest in enumerate(rows):
            decoded.place_of.setdefault(digest, (len(decoded.shards), row))
        decoded.shards.append(shard)
        decoded.shapes.append((height, width, channels))


def _rows(array: np.ndarray) -> list[bytes]:
    content = array.tobytes()
    return [content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES)]


class PartWriter:
    """Collects newly read images, and writes them as a part when there are enough of them.

    Args:
        storage: takes the parts.
        folder: of all parts, below the storage.
        scratch: a local folder that takes pixels until they are written.
    """

    def __init__(self, storage: Storage, folder: str, scratch: Path) -> None:
        self._storage, self._folder, self._scratch = storage, folder, scratch
        self._begin()

    def _begin(self) -> None:
        self._identities: list[bytes] = []
        self._digests: list[bytes] = []
        self._broken: dict[int, str] = {}
        self._rows: dict[SplitName, list[bytes]] = {split: [] for split in SPLITS}
        self._pixels: dict[SplitName, IO[bytes]] = {}
        self._bytes: dict[SplitName, int] = dict.fromkeys(SPLITS, 0)
        self._shape: Shape = (0, 0, 0)

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return max(self._bytes.values()) >= SHARD_BYTES

    def add(self, identity: bytes, digest: bytes, broken: str = "") -> None:
        """An image that was read at a place."""
        if broken:
            self._broken[len(self._identities)] = broken
        self._identities.append(identity)
        self._digests.append(digest)

    def add_pixels(self, digest: bytes, split: SplitName, shape: Shape, pixels: bytes) -> None:
        """The pixels of an image that is not known yet, of the same shape as the others."""
        self._shape = shape
        if split not in self._pixels:
            self._pixels[split] = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115
        self._pixels[split].write(pixels)
        self._rows[split].append(digest)
        self._bytes[split] += len(pixels)

    def write(self, decoded: DecodedImages) -> None:
        """Write what was added, if anything was, and begin anew.

        Args:
            decoded: takes the new part.

        Raises:
            StorageError: when it cannot be written.
        """
        if not self._identities:
            return
        arrays: dict[str, np.ndarray] = {
            "identities": _bytes_array(self._identities),
            "digests": _bytes_array(self._digests),
            "broken": np.array(list(self._broken), dtype=np.int64),
            "reasons": np.array(list(self._broken.values()), dtype=np.str_),
            "shape": np.array(self._shape),
            **{split: _bytes_array(rows) for split, rows in self._rows.items()},
        }
        name = hashlib.sha256(b"".join(arrays[key].tobytes() for key in ("identities", "digests"))).hexdigest()[:16]
        part = f"{self._folder}/{name}"
        with published(self._storage.below(part), IMAGES_FILE) as folder:
            for split, pixels in self._pixels.items():
                path = folder / f"{split}.npy"
                arrays[f"{split}_sha256"] = np.array(_write_npy(path, (len(self._rows[split]), *self._shape), pixels))
            with (folder / IMAGES_FILE).open("wb") as opened:
                np.savez(opened, **arrays)  # type: ignore[arg-type]  # its stub takes them for allow_pickle
        _take(decoded, part, arrays)
        self.close()
        self._begin()

    def close(self) -> None:
        """Drop what was not written."""
        for opened in self._pixels.values():
            opened.close()


def _bytes_array(rows: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def _write_npy(path: Path, shape: tuple[int, ...], pixels: IO[bytes]) -> str:
    """Write uint8 pixels that lie in a file; returns the new file's SHA-256."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    digest = hashlib.sha256(header.getvalue())
    pixels.seek(0)
    with path.open("wb") as opened:
        opened.write(header.getvalue())
        while block := pixels.read(COPIED_AT_ONCE):
            digest.update(block)
            opened.write(block)
    return digest.hexdigest()
