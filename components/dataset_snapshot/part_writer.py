"""Add newly read images to the decoded ones, a part at a time; ``decoded_images.py`` says what a part is."""

import hashlib
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages, Shape, take_part
from sanefit.components.dataset_snapshot.publishing import published
from sanefit.components.dataset_snapshot.reading import ReadImage
from sanefit.components.foundation.image_dataset.picture_content import THUMBNAIL_SIDE
from sanefit.components.foundation.image_dataset.splits import digest_array
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.storage.layout import IMAGES_FILE, Storage

SHARD_BYTES = 64 * 2**20
COPIED_AT_ONCE = 2**20


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
                sha256 = _write_npy(folder / f"{file_name}.npy", (len(file.read), *file.shape), file.pixels)
                arrays[f"{file_name}_sha256"] = np.array(sha256)
            with (folder / IMAGES_FILE).open("wb") as opened:
                np.savez(opened, **arrays)  # type: ignore[arg-type]  # its stub takes them for allow_pickle
        take_part(decoded, part, arrays)
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
    read: list[ReadImage] = field(default_factory=list)
    bytes_written: int = 0

    def add(self, read: ReadImage, pixels: bytes) -> None:
        self.pixels.write(pixels)
        self.read.append(read)
        self.bytes_written += len(pixels)

    def described(self) -> dict[str, np.ndarray]:
        thumbnails = np.frombuffer(b"".join(read.thumbnail for read in self.read), dtype=np.uint8)
        return {
            "": digest_array(read.digest for read in self.read),
            "_shape": np.array(self.shape),
            "_thumbnails": thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            "_sizes": np.array([read.size for read in self.read], dtype=np.int32),
            "_modes": np.array([read.mode for read in self.read], dtype=np.str_),
            "_formats": np.array([read.file_format for read in self.read], dtype=np.str_),
            "_bytes": np.array([read.file_bytes for read in self.read], dtype=np.int64),
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
