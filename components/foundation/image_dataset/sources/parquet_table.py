"""``parquet:PATH``: tables of ``path,label[,split]``, over files beside them or anywhere; or tables of images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow
from pyarrow import parquet

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.file_splits import files_to_read
from sanefit.components.foundation.image_dataset.sources.image_columns import ImageColumns, image_columns
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.named_files import NamedFile, named_files
from sanefit.components.foundation.image_dataset.sources.parquet_image import ImageColumn, ParquetImage, unreadable
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceImage, SourceListing
from sanefit.components.foundation.image_dataset.sources.table_rows import (
    COLUMNS,
    Row,
    columns_of,
    listed,
    require_columns,
    told_by,
)

ROWS_AT_ONCE = 10_000


def list_images(request: ListingRequest) -> SourceListing:
    """Every image of a Parquet table, as of a CSV one; or of its column of images, as Hugging Face writes them.

    Such a column is a struct of ``bytes`` and ``path``, or binary; beside it stands ``label``, a number or a name, or
    the one column that the file's metadata gives names of classes for. Other labels may be numbers, too: their
    decimal digits are the class's name.

    Args:
        request: the place is a file, a folder of them or a pattern. Splits are those of the column ``split``, or, where
            a file has none, the word train, val or test in a file's name.

    Raises:
        DataError: when a file is missing or damaged, or a column or a value is missing.
        StorageError: when S3 does not give a file, or an image is not there.
    """
    listing = SourceListing()
    _, files = named_files(request.place, ".parquet")
    by_column = request.own_splits and all("split" in _schema(file).names for file in files)
    by_name = request.own_splits and not by_column
    first: ImageColumns | None = None
    for file, split in files_to_read(files, listing, own_splits=by_name):
        schema = _schema(file)
        columns = image_columns(schema, file.uri, labeled=not request.of_no_class)
        first = first or columns
        _require_same_classes(first, columns, file)
        asked = replace(request, place=file.uri, folders="classes" if by_name else request.folders)
        require_columns(asked, schema.names, COLUMNS if columns is None else columns.told)
        images = _of_paths(asked, file, listing) if columns is None else _embedded(asked, file, columns)
        listing.images.extend((replace(image, split=split) for image in images) if by_name else images)
        listing.objects += [] if columns is None else file.objects
    return listing


def _schema(file: NamedFile) -> pyarrow.Schema:
    try:
        return parquet.read_schema(file.local())
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(file.uri, error) from error


def _require_same_classes(first: ImageColumns | None, columns: ImageColumns | None, file: NamedFile) -> None:
    if first and columns and first.class_names.names != columns.class_names.names:
        raise DataError(
            f"data.source: the metadata of {file.uri!r} names {len(columns.class_names.names):,} classes, not "
            f"those {len(first.class_names.names):,} of the files before it; expected one data set; correct the pattern"
        )


def _of_paths(request: ListingRequest, file: NamedFile, listing: SourceListing) -> Iterable[SourceImage]:
    """``listing`` takes the objects that they are."""
    rows = (_texts(row) for _, _, row in _rows(file, columns_of(request)))
    found = listed(request, enumerate(rows, start=1))
    listing.objects += found.objects
    return found.images


def _embedded(request: ListingRequest, file: NamedFile, columns: ImageColumns) -> Iterator[SourceImage]:
    located = ImageColumn(local_file(str(file.local())), columns.content, file.origin())
    image, _, path = columns.path.partition(".")
    rows = _rows(file, [*columns_of(request, columns.told), *([columns.path] if path else [])])
    for number, (group, place, row) in enumerate(rows, start=1):
        name = (row.pop(image) or {}).get(path) if path else None
        texts = _texts(row)
        label, split, group_name = told_by(request, number, texts | {"label": texts.get(columns.label)})
        class_name = columns.class_names.of(label, f"{file.uri!r} line {number}") if columns.label else ""
        shown = f"{file.name}/{name.lstrip('/') if name else f'{number:07d}'}"
        yield SourceImage(class_name, shown, ParquetImage(located, group, place), split, group_name)


def _rows(file: NamedFile, columns: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Each row with the number of its row group, and its own in there, from 0."""
    try:
        with parquet.ParquetFile(file.local()) as opened:
            for group in range(opened.num_row_groups):
                place = 0
                for batch in opened.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False):
                    for row in batch.to_pylist():
                        yield group, place, row
                        place += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(file.uri, error) from error


def _texts(row: dict[str, Any]) -> Row:
    return {name: None if value is None else str(value) for name, value in row.items()}
