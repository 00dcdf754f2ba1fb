"""``csv:PATH``: a table of ``path,label``, over files beside it or anywhere."""

import csv
from collections.abc import Iterator
from pathlib import Path

from components.foundation import object_store
from components.foundation.errors import DataError
from components.foundation.image_dataset.sources.source_image import SourceImage

COLUMNS = ("path", "label")


def read_csv(table: str) -> Iterator[SourceImage]:
    """Every image of a table, in its order; relative paths begin where the table lies.

    Args:
        table: a local or ``s3://`` file, UTF-8, with a header that has ``path`` and ``label``.

    Raises:
        DataError: when a column or a value is missing.
        StorageError: when the table or an image cannot be read.
    """
    text = object_store.read_bytes(table).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines())
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise DataError(
            f"data.source: {table!r} has columns {', '.join(rows.fieldnames or ())!r}; expected path and label; "
            f"add {missing[0]!r} to its first line"
        )
    for number, row in enumerate(rows, start=2):
        path, label = row["path"], row["label"]
        if not path or not label:
            raise DataError(f"data.source: {table!r} line {number} lacks a path or a label; expected both; correct it")
        uri = _beside(table, path)
        yield SourceImage(label, uri, object_store.read_bytes(uri))


def _beside(table: str, path: str) -> str:
    if object_store.is_s3(path) or Path(path).is_absolute():
        return path
    folder = table.rpartition("/")[0] if object_store.is_s3(table) else str(Path(table).parent)
    return object_store.join(folder, path)
