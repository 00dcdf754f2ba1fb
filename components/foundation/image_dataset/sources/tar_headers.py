"""The members of a tar archive that holds ordinary files and folders alone: an index in a tenth of tarfile's time.

``tarfile`` makes an object of each header, field by field. Here only a member's size is looked at by itself, for it
says where the next one is; all else of thousands of headers is checked at once. Whatever is not as every writer of
ordinary files writes it is left to ``tarfile``: links, long names, large numbers, holes, and damage.

POSIX.1-2017, pax, "ustar Interchange Format".
"""

import os
import posixpath
import re
import tarfile
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.sources.class_folders import Entries

BLOCK = tarfile.BLOCKSIZE
HEADERS_AT_ONCE = 4096
NAME, SIZE, CHECKSUM, TYPE, PREFIX = slice(100), slice(124, 136), slice(148, 156), 156, slice(345, 500)
NUMBERS = (slice(100, 108), slice(108, 116), slice(116, 124), slice(136, 148), slice(329, 337), slice(337, 345))
FILE, OLD_FILE, FOLDER = b"0", b"\0", b"5"
ZERO, SEVEN, SPACE = b"07 "
TO_BE_NORMALIZED = re.compile(r"(^|/)\.{0,2}(/|$)")


@dataclass
class TarHeaders:
    """``names``: of the files, normalized, each once. ``starts``, ``sizes``: of what they hold, in bytes."""

    names: list[str] = field(default_factory=list)
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    folders: list[str] = field(default_factory=list)

    @property
    def entries(self) -> Entries:
        """What the archive holds."""
        return Entries(self.names, self.folders)


def read_headers(archive: Path) -> TarHeaders | None:
    """All members; None where it takes ``tarfile`` to tell what they are.

    Args:
        archive: not compressed.

    Raises:
        OSError: when it cannot be read.
    """
    found = TarHeaders()
    descriptor = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start = 0
        while True:
            headers, starts = _some_headers(descriptor, start)
            if headers is None or not _take(found, headers, starts):
                return None
            if len(starts) < HEADERS_AT_ONCE:
                break
            start = _next(starts[-1], int(headers[-BLOCK:][SIZE][:-1], 8))
    finally:
        os.close(descriptor)
    distinct = len({*found.names, *found.folders}) == len(found.names) + len(found.folders)
    return found if distinct else None


def _some_headers(descriptor: int, start: int) -> tuple[bytes | None, list[int]]:
    """Headers one after the other up to the archive's end, and where they are; None where one has no plain size."""
    headers: list[bytes] = []
    starts: list[int] = []
    while len(starts) < HEADERS_AT_ONCE:
        header = os.pread(descriptor, BLOCK, start)
        try:
            size = int(header[SIZE][:-1], 8)
        except ValueError:
            return (b"".join(headers) if header == bytes(BLOCK) else None), starts
        if size < 0 or len(header) < BLOCK:
            return None, starts
        headers.append(header)
        starts.append(start)
        start = _next(start, size)
    return b"".join(headers), starts


def _next(start: int, size: int) -> int:
    return start + BLOCK + -(-size // BLOCK) * BLOCK


def _take(found: TarHeaders, content: bytes, starts: list[int]) -> bool:
    """Add members; False where one of them is not ordinary."""
    headers = np.frombuffer(bytearray(content), dtype=np.uint8).reshape(-1, BLOCK)
    if not _are_ordinary(headers):
        return False
    for number, start in enumerate(starts):
        header = content[number * BLOCK : (number + 1) * BLOCK]
        name, size, kind = _name(header), int(header[SIZE][:-1], 8), header[TYPE : TYPE + 1]
        if kind == FOLDER:
            if size:
                return False
            found.folders.append(_normalized(name.rstrip("/")))
        elif name.endswith("/"):
            return False
        else:
            found.names.append(_normalized(name))
            found.starts.append(start + BLOCK)
            found.sizes.append(size)
    return True


def _name(header: bytes) -> str:
    name, prefix = header[NAME].partition(b"\0")[0], header[PREFIX].partition(b"\0")[0]
    return (prefix + b"/" + name if prefix else name).decode(tarfile.ENCODING, "surrogateescape")


def _normalized(name: str) -> str:
    return posixpath.normpath(name) if TO_BE_NORMALIZED.search(name) else name


def _are_ordinary(headers: NDArray[np.uint8]) -> bool:
    kinds = np.frombuffer(FILE + OLD_FILE + FOLDER, dtype=np.uint8)
    sums, sizes = headers[:, CHECKSUM], headers[:, SIZE]
    return bool(
        np.isin(headers[:, TYPE], kinds).all()
        and _are_octal(sizes)
        and _is_octal_digit(sizes[:, :-1]).all()
        and _are_octal(sums)
        and _is_octal_digit(sums[:, :6]).all()
        and not _is_octal_digit(sums[:, 6:]).any()
        and all(_are_octal(headers[:, numbers]) for numbers in NUMBERS)
        and np.array_equal(_checksums(headers), _octal(sums[:, :6]))
    )


def _is_octal_digit(bytes_: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (bytes_ >= ZERO) & (bytes_ <= SEVEN)


def _are_octal(fields: NDArray[np.uint8]) -> bool:
    """Whether each is digits, and then spaces or zeros."""
    digits = _is_octal_digit(fields)
    return bool((digits | (fields == 0) | (fields == SPACE)).all() and (digits[:, 1:] <= digits[:, :-1]).all())


def _octal(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
    value: NDArray[np.int64] = (digits.astype(np.int64) - ZERO) @ (8 ** np.arange(digits.shape[1])[::-1])
    return value


def _checksums(headers: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The sum of all bytes, those of the checksum itself as spaces."""
    whole, own = (part.sum(axis=1, dtype=np.int64) for part in (headers, headers[:, CHECKSUM]))
    total: NDArray[np.int64] = whole - own + 8 * SPACE
    return total
