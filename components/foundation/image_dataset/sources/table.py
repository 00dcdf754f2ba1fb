"""``csv:PATH`` and ``parquet:PATH``: a table of ``path,label[,split]``, over files beside it or anywhere."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.sources.location import Location, local_file
from sanefit.components.foundation.image_dataset.sources.source_image import SPLIT_FOLDERS, SourceImage, SourceListing
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.s3_objects import StoredObject, stat_objects

COLUMNS = ("path", "label")
Row = dict[str, str | None]


def list_csv(table: str, *, own_splits: bool) -> SourceListing:
    """Every image of a CSV table, in its order; relative paths begin where the table lies.

    Args:
        table: a local or ``s3://`` file, UTF-8, with a header that has ``path`` and ``label``, and ``split``
            (train, val or test) when the source's own splits are asked for.
        own_splits: whether they are.

    Raises:
        DataError: when a column or a value is missing.
        StorageError: when the table or an image is not there.
    """
    text = object_store.read_bytes(table).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines())
    _require_columns(table, list(rows.fieldnames or ()), own_splits=own_splits)
    return _listed(table, enumerate(rows, start=2), own_splits=own_splits)


def list_parquet(table: str, *, own_splits: bool) -> SourceListing:
    """Every image of a Parquet table; else as ``list_csv``.

    Labels may be numbers: their decimal digits are the class's name.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(io.BytesIO(object_store.read_bytes(table)))
        _require_columns(table, opened.schema_arrow.names, own_splits=own_splits)
        columns = opened.read([*COLUMNS, "split"] if own_splits else [*COLUMNS]).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(
            f"data.source: cannot read {table!r}: {' '.join(str(error).split())[:200]}; "
            "expected a Parquet file; write it again"
        ) from error
    rows: list[Row] = [{name: None if value is None else str(value) for name, value in row.items()} for row in columns]
    return _listed(table, enumerate(rows, start=1), own_splits=own_splits)


def _require_columns(table: str, present: list[str], *, own_splits: bool) -> None:
    expected = (*COLUMNS, "split") if own_splits else COLUMNS
    if missing := [column for column in expected if column not in present]:
        raise DataError(
            f"data.source: {table!r} has columns {', '.join(present)!r}; expected {', '.join(expected)}; "
            f"add {missing[0]!r} to its first line"
        )


def _listed(table: str, rows: Iterable[tuple[int, Row]], *, own_splits: bool) -> SourceListing:
    found: list[tuple[str, str, SplitName | None]] = []
    for number, row in rows:
        path, label = row["path"], row["label"]
        if not path or not label:
            raise DataError(f"data.source: {table!r} line {number} lacks a path or a label; expected both; correct it")
        found.append((label, _beside(table, path), _split(table, number, row["split"]) if own_splits else None))
    objects = stat_objects(uri for _, uri, _ in found if object_store.is_s3(uri))
    return SourceListing([SourceImage(label, uri, _located(uri, objects), split) for label, uri, split in found])


def _located(uri: str, objects: dict[str, StoredObject]) -> Location:
    reason: str | None = "there is no such object"
    if not object_store.is_s3(uri):
        try:
            return local_file(uri)
        except OSError as error:
            reason = error.strerror
    elif uri in objects:
        return objects[uri]
    raise StorageError(f"cannot read {uri!r}: {reason}; expected the file that the table names; correct the table")


def _split(table: str, number: int, name: str | None) -> SplitName:
    if name not in SPLIT_FOLDERS:
        raise DataError(
            f"data.source: {table!r} line {number} has split {name!r}; expected {', '.join(SPLIT_FOLDERS)}; correct it"
        )
    return SPLIT_FOLDERS[name]


def _beside(table: str, path: str) -> str:
    if object_store.is_s3(path) or Path(path).is_absolute():
        return path
    folder = table.rpartition("/")[0] if object_store.is_s3(table) else str(Path(table).parent)
    return object_store.join(folder, path)
