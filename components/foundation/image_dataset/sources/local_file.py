"""Files of this machine, and parts of them."""

import os
from dataclasses import dataclass

from sanefit.components.foundation.errors import DataError


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was listed: ``modified`` in nanoseconds, ``size`` in bytes."""

    path: str
    modified: int
    size: int

    def read(self) -> bytes:
        """The whole file.

        Raises:
            DataError: when it cannot be read, or changed since it was listed.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                content = _read_to_end(descriptor, self.size)
                now = os.fstat(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if (now.st_mtime_ns, now.st_size) != (self.modified, self.size):
            raise _changed(self.path)
        return content

    def state(self) -> bytes:
        """Path, time and size."""
        return repr(self).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class PartOfFile:
    """``size`` bytes at ``offset`` of a file. ``origin`` names the archive that it is, and its state."""

    path: str
    offset: int
    size: int
    origin: str

    def read(self) -> bytes:
        """The part.

        Raises:
            DataError: when it cannot be read, or the file has become shorter.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)  # once for each image, without a file object
            try:
                content = os.pread(descriptor, self.size, self.offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if len(content) != self.size:
            raise _changed(self.path)
        return content

    def state(self) -> bytes:
        """The archive's, and which part of it this is."""
        return f"part {self.origin} {self.offset} {self.size}".encode("utf-8", "surrogateescape")


def local_file(path: str) -> LocalFile:
    """The file as it is now.

    Raises:
        OSError: when there is none.
    """
    found = os.stat(path)  # noqa: PTH116  # pathlib takes longer than the system
    return LocalFile(path, found.st_mtime_ns, found.st_size)


def _read_to_end(descriptor: int, expected: int) -> bytes:
    parts = [os.read(descriptor, expected + 1)]
    while parts[-1] and len(parts[-1]) != expected:
        parts.append(os.read(descriptor, 2**20))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError(
        f"data.source: cannot read {path!r}: {error.strerror}; expected readable files; fix permissions or the disk"
    )


def _changed(path: str) -> DataError:
    return DataError(f"{path!r} changed while the source was read; expected images at rest; run again")
