"""The rows of a table of images: ``path``, ``label``, and ``split`` and a group when they are asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.sources.class_folders import SPLIT_FOLDERS
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.location import Location
from sanefit.components.foundation.image_dataset.sources.object_in_store import ObjectInStore
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceImages,
    SourceListing,
)
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.remote_stores import StoredObject, is_remote
from sanefit.components.foundation.storage.stored_objects import pinned_objects

LABEL = "label"
COLUMNS = ("path", LABEL)
NOT_A_LABEL = frozenset({"nan", "NaN", "<NA>"})
Row = dict[str, str | None]


def columns_of(request: ListingRequest, needed: Sequence[str] = COLUMNS) -> tuple[str, ...]:
    """The columns that a table must have: those that are needed, and those that are asked for."""
    split = ("split",) if request.own_splits else ()
    group = (request.group_column,) if request.group_column else ()
    told = [column for column in needed if not (request.of_no_class and column == LABEL)]
    return tuple(dict.fromkeys([*told, *split, *group]))


def require_columns(request: ListingRequest, present: list[str], needed: Sequence[str] = COLUMNS) -> None:
    """See that no column is missing.

    Raises:
        DataError: when one is.
    """
    expected = columns_of(request, needed)
    if missing := [column for column in expected if column not in present]:
        raise DataError(
            f"data.source: {request.place!r} has columns {', '.join(present)!r}; expected {', '.join(expected)}; "
            f"add {missing[0]!r} to its first line"
        )


def listed(request: ListingRequest, rows: Iterable[tuple[int, Row]]) -> SourceListing:
    """The images of numbered rows; relative paths begin where the table lies.

    Raises:
        DataError: when a row lacks a value.
        StorageError: when an image is not there.
    """
    table = request.place
    found: list[tuple[str, str, SplitName | None, str | None]] = []
    for number, row in rows:
        path = row["path"]
        if not path or not (request.of_no_class or row[LABEL]):
            raise DataError(f"data.source: {table!r} line {number} lacks a path or a label; expected both; correct it")
        label, split, group = told_by(request, number, row)
        found.append((label, _beside(table, path), split, group))
    objects = pinned_objects(uri for _, uri, *_ in found if is_remote(uri))
    return SourceListing(
        SourceImages(
            SourceImage(label, uri, _located(uri, objects), split, group) for label, uri, split, group in found
        ),
        objects=list(objects.values()),
    )


def told_by(request: ListingRequest, number: int, row: Row) -> tuple[str, SplitName | None, str | None]:
    """The class of a numbered row, empty where none is asked for; its split and its group where these are.

    Raises:
        DataError: when it has no class, or its split is none.
    """
    table, label = request.place, "" if request.of_no_class else row[LABEL]
    if not label and not request.of_no_class:
        raise DataError(f"data.source: {table!r} line {number} lacks a label; expected a class; fill it in")
    if label in NOT_A_LABEL:
        raise DataError(
            f"data.source: {table!r} line {number} has the label {label!r}, which is how pandas writes a cell "
            "without a value; expected a class; fill it in, remove the row, or name the class otherwise"
        )
    split = _split(table, number, row["split"]) if request.own_splits else None
    return label or "", split, row[request.group_column] if request.group_column else None


def _located(uri: str, objects: dict[str, StoredObject]) -> Location:
    reason: str | None = "there is no such object"
    if not is_remote(uri):
        try:
            return local_file(uri)
        except OSError as error:
            reason = error.strerror
    elif uri in objects:
        return ObjectInStore(objects[uri])
    raise StorageError(f"cannot read {uri!r}: {reason}; expected the file that the table names; correct the table")


def _split(table: str, number: int, name: str | None) -> SplitName:
    if name is None or name.lower() not in SPLIT_FOLDERS:
        raise DataError(
            f"data.source: {table!r} line {number} has split {name!r}; expected {', '.join(SPLIT_FOLDERS)}; correct it"
        )
    return SPLIT_FOLDERS[name.lower()]


def _beside(table: str, path: str) -> str:
    if is_remote(path) or Path(path).is_absolute():
        return path
    folder = table.rpartition("/")[0] if is_remote(table) else str(Path(table).parent)
    return object_store.join(folder, path)
