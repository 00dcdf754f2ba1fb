"""Where an image's bytes are, and reading them.

A location can be sent to another process, read there in any order, and compared with one of an earlier listing.
"""

import functools
import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.storage.s3_client import endpoint
from sanefit.components.foundation.storage.s3_objects import StoredObject, read_object


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was listed: ``modified`` in nanoseconds, ``size`` in bytes."""

    path: str
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class PartOfFile:
    """``size`` bytes at ``offset`` of a file. ``origin`` names the archive that it is, and its state."""

    path: str
    offset: int
    size: int
    origin: str


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip archive. ``origin`` names the archive, and its state."""

    archive: str
    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class InMemory:
    """The bytes themselves."""

    content: bytes


@dataclass(frozen=True, slots=True)
class TorchvisionItem:
    """An image of one of torchvision's data sets, as a PNG file. ``split``: which of its parts."""

    name: str
    split: str
    number: int


Location = LocalFile | PartOfFile | ZipMember | InMemory | TorchvisionItem | StoredObject


def local_file(path: str) -> LocalFile:
    """The file as it is now.

    Raises:
        OSError: when there is none.
    """
    state = os.stat(path)  # noqa: PTH116  # pathlib takes longer than the system
    return LocalFile(path, state.st_mtime_ns, state.st_size)


def identity_of(location: Location) -> bytes:
    """32 bytes that stay the same as long as the source says that the image is unchanged.

    A file is unchanged with its path, time and size; an object in S3 with its URI, ETag and size; a member of an
    archive with the archive.
    """
    match location:
        case InMemory(content):
            state = b"content " + content
        case PartOfFile(_, offset, size, origin):
            state = f"part {origin} {offset} {size}".encode("utf-8", "surrogateescape")
        case ZipMember(_, name, origin):
            state = f"member {origin} {name}".encode("utf-8", "surrogateescape")
        case StoredObject(uri, etag, size):
            state = f"object {endpoint()} {uri} {etag} {size}".encode()
        case _:
            state = repr(location).encode("utf-8", "surrogateescape")
    return hashlib.sha256(state).digest()


def read_content(location: Location) -> bytes:
    """The image's bytes.

    Raises:
        DataError: when they cannot be read, or a file is not as it was listed.
        StorageError: when S3 does not give them.
    """
    match location:
        case InMemory(content):
            return content
        case LocalFile():
            return _read_file(location)
        case PartOfFile():
            return _read_part(location)
        case ZipMember(archive, name):
            return _read_member(archive, name)
        case StoredObject():
            return read_object(location)
        case TorchvisionItem():
            from sanefit.components.foundation.image_dataset.sources.torchvision_dataset import read_item

            return read_item(location)


def _read_file(listed: LocalFile) -> bytes:
    try:
        descriptor = os.open(listed.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = _read_to_end(descriptor, listed.size)
            state = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(listed.path, error) from error
    if (state.st_mtime_ns, state.st_size) != (listed.modified, listed.size):
        raise _changed(listed.path)
    return content


def _read_part(part: PartOfFile) -> bytes:
    try:
        with open(part.path, "rb", buffering=0) as opened:  # noqa: PTH123  # read once for each image
            content = os.pread(opened.fileno(), part.size, part.offset)
    except OSError as error:
        raise _unreadable(part.path, error) from error
    if len(content) != part.size:
        raise _changed(part.path)
    return content


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(
        f"data.source: cannot read {path!r}: {error.strerror}; expected readable files; fix permissions or the disk"
    )


def _changed(path: str) -> DataError:
    return DataError(f"{path!r} changed while the source was read; expected images at rest; run again")


def _read_to_end(descriptor: int, expected: int) -> bytes:
    parts = [os.read(descriptor, expected + 1)]
    while parts[-1] and len(parts[-1]) != expected:
        parts.append(os.read(descriptor, 2**20))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_member(archive: str, name: str) -> bytes:
    try:
        return _opened_zip(archive, os.getpid()).read(name)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise unreadable_zip(archive, error) from error


@functools.lru_cache(maxsize=1)
def _opened_zip(archive: str, process: int) -> zipfile.ZipFile:
    """Kept open for the next member; each process has its own, for they would move each other's file position."""
    del process
    return zipfile.ZipFile(archive)


def unreadable_zip(archive: str, error: Exception) -> DataError:
    """In one line."""
    reason = str(error).splitlines()[0]
    return DataError(
        f"data.source: cannot read {archive!r}: {reason}; expected a whole zip archive without a password; "
        "pack it again"
    )
