"""The images that earlier snapshots decoded with the same settings, and adding to them.

They lie in ``decoded/KEY/PART/`` below the storage. A part is written whole or not at all, and never changes: files of
pixels, gray images apart from colored ones and those of each split together, as long as no image moves; and
``images.npz``, which says what was read and where its pixels are. So a snapshot that breaks off goes on from its last
part, and the next one reads only what is new.
"""

import hashlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.publishing import published
from sanefit.components.dataset_snapshot.reading import ReadImage
from sanefit.components.dataset_snapshot.rows_by_shard import rows_by_shard
from sanefit.components.foundation.image_dataset.picture_content import THUMBNAIL_SIDE
from sanefit.components.foundation.image_dataset.splits import digest_array, digest_rows
from sanefit.components.foundation.schemas.images import DataSettings, Shard, SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage, decoded_folder
from sanefit.components.foundation.storage.remote_stores import is_remote

SHARD_BYTES = 64 * 2**20
COPIED_AT_ONCE = 2**20
IMAGES_FILE = "images.npz"
Shape = tuple[int, int, int]


@dataclass
class DecodedImages:
    """What is known of images that were read before.

    ``digest_of``: the digest of an image's pixels, by where it was. ``broken``: why there is no image there.
    ``digest_of_file``: that of its pixels by that of the file. ``place_of``: an image's shard and row, by the digest of
    its pixels. ``highest_level``: of 16-bit gray, by the digest of its pixels. ``shapes``: of the images of each shard.
    Of each shard: ``thumbnails``, uint8 (images, side, side); ``sizes``, int32 (images, 2), width and height before
    images were scaled; ``modes``, ``formats``, of their files, as Pillow calls them; ``file_bytes``, how long the files
    are, int64, 0 where that is not known.
    """

    digest_of: dict[bytes, bytes] = field(default_factory=dict)
    broken: dict[bytes, str] = field(default_factory=dict)
    digest_of_file: dict[bytes, bytes] = field(default_factory=dict)
    place_of: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    highest_level: dict[bytes, int] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)
    sizes: list[NDArray[np.int32]] = field(default_factory=list)
    modes: list[NDArray[np.str_]] = field(default_factory=list)
    formats: list[NDArray[np.str_]] = field(default_factory=list)
    file_bytes: list[NDArray[np.int64]] = field(default_factory=list)

    def thumbnails_of(self, digests: Sequence[bytes]) -> NDArray[np.uint8]:
        """Uint8 (len(digests), side, side)."""
        found = np.empty((len(digests), THUMBNAIL_SIDE, THUMBNAIL_SIDE), dtype=np.uint8)
        for shard, of_shard, rows in rows_by_shard(self.place_of, digests):
            found[of_shard] = self.thumbnails[shard][rows]
        return found


def folder_of(settings: DataSettings) -> str:
    """Where the images decoded as these settings say are, below the storage."""
    content = settings.source_kind.content
    key = hashlib.sha256(
        f"3 {content} {settings.image_size} {settings.background} {settings.bit_depth}".encode()
    ).hexdigest()
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
        if is_remote(uri) and not object_store.exists(uri):
            continue  # an upload that broke off: this file is its last
        with np.load(io.BytesIO(object_store.read_bytes(uri))) as arrays:
            _take(decoded, part, dict(arrays))
    return decoded


def _take(decoded: DecodedImages, path: str, arrays: dict[str, np.ndarray]) -> None:
    identities, files, digests = (digest_rows(arrays[name]) for name in ("identities", "files", "digests"))
    decoded.digest_of.update(zip(identities, digests, strict=True))
    decoded.digest_of_file.update(zip(files, digests, strict=True))
    reasons = zip(arrays["broken"].tolist(), arrays["reasons"].tolist(), strict=True)
    decoded.broken.update({identities[number]: reason for number, reason in reasons})
    levels = zip(arrays["deep"].tolist(), arrays["highest_levels"].tolist(), strict=True)
    decoded.highest_level.update({digests[number]: level for number, level in levels})
    for name in sorted(key.removesuffix("_sha256") for key in arrays if key.endswith("_sha256")):
        rows = digest_rows(arrays[name])
        height, width, channels = arrays[f"{name}_shape"].tolist()
        for row, digest in enumerate(rows):
            decoded.place_of.setdefault(digest, (len(decoded.shards), row))
        decoded.shards.append(Shard(path=f"{path}/{name}.npy", sha256=str(arrays[f"{name}_sha256"]), images=len(rows)))
        decoded.shapes.append((height, width, channels))
        decoded.thumbnails.append(arrays[f"{name}_thumbnails"])
        decoded.sizes.append(arrays[f"{name}_sizes"])
        decoded.modes.append(arrays[f"{name}_modes"])
        decoded.formats.append(arrays.get(f"{name}_formats", np.full(len(rows), "")))  # parts of earlier versions
        decoded.file_bytes.append(arrays.get(f"{name}_bytes", np.zeros(len(rows), dtype=np.int64)))


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
        self._read: list[ReadImage] = []
        self._identities: list[bytes] = []
        self._files: dict[str, _PixelFile] = {}

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return any(file.bytes_written >= SHARD_BYTES for file in self._files.values())

    def add(self, identity: bytes, read: ReadImage) -> None:
        """An image that was read at a place."""
        self._identities.append(identity)
        self._read.append(read)

    def add_pixels(self, read: ReadImage, split: SplitName, pixels: bytes) -> None:
        """The pixels of an image that is not known yet."""
        assert read.shape is not None
        height, width, channels = read.shape
        name = f"{split}_gray" if channels == 1 else split
        if name in self._files and self._files[name].shape != read.shape:  # one that is excluded may be of any size
            name = f"{name}_{height}x{width}"
        if name not in self._files:
            opened = tempfile.TemporaryFile(dir=self._scratch, buffering=COPIED_AT_ONCE)  # noqa: SIM115
            self._files[name] = _PixelFile((height, width, channels), opened)
        self._files[name].add(read, pixels)

    def write(self, decoded: DecodedImages) -> None:
        """Write what was added, if anything was, and begin anew.

        Args:
            decoded: takes the new part.

        Raises:
            StorageError: when it cannot be written.
        """
        if not self._read:
            return
        broken = {number: read.broken for number, read in enumerate(self._read) if read.broken}
        deep = {number: read.highest_level for number, read in enumerate(self._read) if read.highest_level}
        arrays: dict[str, np.ndarray] = {
            "identities": digest_array(self._identities),
            "files": digest_array([read.file_digest for read in self._read]),
            "digests": digest_array([read.digest for read in self._read]),
            "broken": np.array(list(broken), dtype=np.int64),
            "reasons": np.array(list(broken.values()), dtype=np.str_),
            "deep": np.array(list(deep), dtype=np.int64),
            "highest_levels": np.array(list(deep.values()), dtype=np.int64),
        }
        for file_name, file in self._files.items():
            arrays |= {f"{file_name}{ending}": array for ending, array in file.described().items()}
        named = hashlib.sha256()
        for key in sorted(arrays):
            named.update(key.encode() + arrays[key].tobytes())
        part = f"{self._folder}/{named.hexdigest()[:16]}"
        with published(self._storage.below(part), IMAGES_FILE) as folder:
            for file_name, file in self._files.items():
                sha256 = _write_npy(folder / f"{file_name}.npy", (len(file.digests), *file.shape), file.pixels)
                arrays[f"{file_name}_sha256"] = np.array(sha256)
            with (folder / IMAGES_FILE).open("wb") as opened:
                np.savez(opened, **arrays)  # type: ignore[arg-type]  # its stub takes them for allow_pickle
        _take(decoded, part, arrays)
        self.close()
        self._begin()

    def close(self) -> None:
        """Drop what was not written."""
        for file in self._files.values():
            file.pixels.close()


@dataclass
class _PixelFile:
    """A file of a part: images of one shape, in the order in which they came."""

    shape: Shape
    pixels: IO[bytes]
    digests: list[bytes] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    file_bytes: list[int] = field(default_factory=list)
    bytes_written: int = 0

    def add(self, read: ReadImage, pixels: bytes) -> None:
        self.pixels.write(pixels)
        self.digests.append(read.digest)
        self.thumbnails.append(read.thumbnail)
        self.sizes.append(read.size)
        self.modes.append(read.mode)
        self.formats.append(read.file_format)
        self.file_bytes.append(read.file_bytes)
        self.bytes_written += len(pixels)

    def described(self) -> dict[str, np.ndarray]:
        thumbnails = np.frombuffer(b"".join(self.thumbnails), dtype=np.uint8)
        return {
            "": digest_array(self.digests),
            "_shape": np.array(self.shape),
            "_thumbnails": thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            "_sizes": np.array(self.sizes, dtype=np.int32),
            "_modes": np.array(self.modes, dtype=np.str_),
            "_formats": np.array(self.formats, dtype=np.str_),
            "_bytes": np.array(self.file_bytes, dtype=np.int64),
        }


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
