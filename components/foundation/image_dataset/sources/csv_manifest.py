"""``csv:PATH``: a table of ``path,label[,split]``, over files beside it or anywhere."""

import csv
from collections.abc import Iterator
from pathlib import Path

from components.foundation import object_store
from components.foundation.artifacts import SplitName
from components.foundation.errors import DataError
from components.foundation.image_dataset.sources.source_image import SPLIT_FOLDERS, SourceImage, SourceListing

COLUMNS = ("path", "label")


def read_csv(table: str, listing: SourceListing) -> Iterator[SourceImage]:
    """Every image of a table, in its order; relative paths begin where the table lies.

    Args:
        table: a local or ``s3://`` file, UTF-8, with a header that has ``path`` and ``label``, and ``split``
            (train, val or test) when the source's own splits are asked for.
        listing: what is asked for.

    Raises:
        DataError: when a column or a value is missing.
        StorageError: when the table or an image cannot be read.
    """
    text = object_store.read_bytes(table).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines())
    expected = (*COLUMNS, "split") if listing.own_splits else COLUMNS
    missing = [column for column in expected if column not in (rows.fieldnames or ())]
    if missing:
        raise DataError(
            f"data.source: {table!r} has columns {', '.join(rows.fieldnames or ())!r}; expected {', '.join(expected)}; "
            f"add {missing[0]!r} to its first line"
        )
    for number, row in enumerate(rows, start=2):
        path, label = row["path"], row["label"]
        if not path or not label:
            raise DataError(f"data.source: {table!r} line {number} lacks a path or a label; expected both; correct it")
        uri = _beside(table, path)
        split = _split(table, number, row["split"]) if listing.own_splits else None
        yield SourceImage(label, uri, object_store.read_bytes(uri), split)


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
