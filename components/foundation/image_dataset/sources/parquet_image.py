"""An image in a column of a Parquet file, read forward: no row group is ever in memory as a whole."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow
from pyarrow import parquet

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.local_file import LocalFile, local_file

AT_ONCE = 16  # images: a few keep even large ones small together
BUFFERED = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """The column of a local Parquet file that holds images' bytes, as a path with dots.

    ``origin`` names the file, and its state.
    """

    file: LocalFile
    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class ParquetImage:
    """The image of a row, from 0, of a row group."""

    column: ImageColumn
    group: int
    row: int

    def read(self) -> bytes:
        """Its bytes; none where the table has none. Fast when rows are read in their order.

        Raises:
            DataError: when they cannot be read, or the file changed since it was listed.
        """
        try:
            return _forward(self.column, self.group, self.row).value(self.row)
        except (pyarrow.ArrowException, OSError) as error:
            raise unreadable(self.column.file.path, error) from error

    def state(self) -> bytes:
        """The file's, and which row of it this is."""
        return f"row {self.column.origin} {self.column.name} {self.group} {self.row}".encode("utf-8", "surrogateescape")


def unreadable(path: str, error: Exception) -> DataError:
    """A file that is no whole Parquet file."""
    return DataError(
        f"data.source: cannot read {path!r}: {' '.join(str(error).split())[:200]}; "
        "expected a Parquet file; write it again"
    )


@dataclass(slots=True)
class _Rows:
    """Those of a row group from ``first`` on, some at once."""

    batches: Iterator[pyarrow.RecordBatch]
    first: int = 0
    values: pyarrow.Array = field(default_factory=lambda: pyarrow.array([], pyarrow.binary()))

    def value(self, row: int) -> bytes:
        while row >= self.first + len(self.values):
            self.first += len(self.values)
            [column] = next(self.batches).columns
            self.values = column.field(0) if pyarrow.types.is_struct(column.type) else column
        return self.values[row - self.first].as_py() or b""


def _forward(column: ImageColumn, group: int, row: int) -> _Rows:
    """The reading that has not passed a row yet: the last one, or else a new one."""
    rows = _begun(column, group, os.getpid())
    if row < rows.first:
        _begun.cache_clear()
        rows = _begun(column, group, os.getpid())
    return rows


@functools.lru_cache(maxsize=1)
def _begun(column: ImageColumn, group: int, process: int) -> _Rows:
    opened = _opened(column, process)
    return _Rows(opened.iter_batches(AT_ONCE, row_groups=[group], columns=[column.name], use_threads=False))


@functools.lru_cache(maxsize=1)
def _opened(column: ImageColumn, process: int) -> parquet.ParquetFile:
    """Kept open for the next row group; each process has its own."""
    del process
    if local_file(column.file.path) != column.file:
        raise DataError(f"{column.file.path!r} changed while the source was read; expected images at rest; run again")
    # Without pre-reading, and with a buffer: else a whole row group's column is read at once.
    return parquet.ParquetFile(column.file.path, pre_buffer=False, buffer_size=BUFFERED)
