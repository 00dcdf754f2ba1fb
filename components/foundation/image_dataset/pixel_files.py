"""Files of pixels, as NumPy saves them: local ones, and objects in a store, which are read by ranges."""

import io
import math
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.storage.stored_objects import read_ranges

OPEN_FILES = 128
SPAN_BYTES = 2**20  # that are asked for at once
HEADER_BYTES = 128  # of a file that NumPy saved, at most
Range = tuple[str, int, int]  # an object's address, the first byte, and how many
Awaited = tuple[Range, memoryview]  # and where they go


@dataclass(frozen=True)
class PixelFile:
    """What its header says. ``start``: where its pixels start; ``shape``: (images, height, width, channels).

    ``path``: the local copy; without one it is read where it is.
    """

    uri: str
    path: Path | None
    start: int
    shape: tuple[int, int, int, int]

    @cached_property
    def row_bytes(self) -> int:
        """Of one image."""
        return math.prod(self.shape[1:])


def pixel_file(uri: str, path: Path | None) -> PixelFile:
    """A file, by its address and its local copy, if there is one.

    Raises:
        OSError, StorageError: when it cannot be read.
    """
    if path is None:
        [header] = read_ranges([(uri, 0, HEADER_BYTES)])
        return _described(uri, path, io.BytesIO(header))
    with path.open("rb") as opened:
        return _described(uri, path, opened)


class PixelFiles:
    """Several, looked into when they are needed; of open local ones the one longest unused makes room.

    Args:
        places: of each its address and its local copy, if there is one.
    """

    def __init__(self, places: Sequence[tuple[str, Path | None]]) -> None:
        self._places = places
        self._known: dict[int, PixelFile] = {}
        self._descriptors: OrderedDict[int, int] = OrderedDict()

    def __getitem__(self, number: int) -> PixelFile:
        """What a file's header says.

        Raises:
            OSError, StorageError: when it cannot be read.
        """
        if number not in self._known:
            self._known[number] = pixel_file(*self._places[number])
        return self._known[number]

    def read(self, number: int, rows: Sequence[int], targets: Sequence[memoryview]) -> list[Awaited]:
        """Read these images of a local file into memory; of an object, what is still to be read.

        Raises:
            DataError: when it is a file that is cut off.
            StorageError: when it is an object that cannot be looked into.
        """
        file = self[number]
        start, size = file.start, file.row_bytes
        if file.path is None:
            return [(_range(file, row), target) for row, target in zip(rows, targets, strict=True)]
        descriptor = self._descriptor(number)
        for row, target in zip(rows, targets, strict=True):
            if os.preadv(descriptor, [target], start + row * size) != size:
                raise DataError(f"{str(file.path)!r} is cut off; expected a whole file; remove it and run again")
        return []

    def _descriptor(self, number: int) -> int:
        if number in self._descriptors:
            self._descriptors.move_to_end(number)
            return self._descriptors[number]
        if len(self._descriptors) >= OPEN_FILES:
            os.close(self._descriptors.popitem(last=False)[1])
        path = self[number].path
        assert path is not None
        self._descriptors[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._descriptors[number]

    def __getstate__(self) -> dict[str, object]:
        """Another process opens them itself."""
        return {"_places": self._places, "_known": self._known, "_descriptors": OrderedDict()}

    def __del__(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)


def read_awaited(awaited: Sequence[Awaited]) -> None:
    """Read what is still to be read, of many objects at once.

    Raises:
        StorageError: when one cannot be read.
    """
    for (_, target), content in zip(awaited, read_ranges([wanted for wanted, _ in awaited]), strict=True):
        target[:] = content


def read_chosen(file: PixelFile, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images of an object, each asked for by itself: uint8 (rows, height, width, channels).

    Raises:
        StorageError: when it cannot be read.
    """
    return _images(file, [_range(file, row) for row in rows.tolist()])


def read_span(file: PixelFile, first: int, stop: int) -> NDArray[np.uint8]:
    """Images of an object that follow each other: uint8 (stop - first, height, width, channels).

    Raises:
        StorageError: when it cannot be read.
    """
    step = max(1, SPAN_BYTES // file.row_bytes)
    return _images(file, [_range(file, row, min(step, stop - row)) for row in range(first, stop, step)])


def _images(file: PixelFile, ranges: Sequence[Range]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(read_ranges(ranges)), dtype=np.uint8).reshape(-1, *file.shape[1:])


def _range(file: PixelFile, row: int, rows: int = 1) -> Range:
    return file.uri, file.start + row * file.row_bytes, rows * file.row_bytes


def _described(uri: str, path: Path | None, opened: IO[bytes]) -> PixelFile:
    np.lib.format.read_magic(opened)
    (images, height, width, channels), _, _ = np.lib.format.read_array_header_1_0(opened)
    return PixelFile(uri, path, opened.tell(), (images, height, width, channels))
