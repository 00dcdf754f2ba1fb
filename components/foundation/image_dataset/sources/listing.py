"""From the setting ``data.source`` to the images that are there."""

import importlib
from pathlib import Path
from typing import Protocol, cast

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceListing
from sanefit.components.foundation.schemas.sources import Folders, SourceKind, kind_of


class SourceModule(Protocol):
    """A file of this folder that lists a kind of source."""

    def list_images(self, request: ListingRequest, /) -> SourceListing:
        """Every image, in an order that does not change between calls; none is read.

        Raises:
            DataError: when there is nothing at the place, or it cannot be read to its end.
            StorageError: when S3 does not give it.
        """


def list_source(
    source: str, scratch: Path, *, folders: Folders = "classes", group_column: str = "", class_from: str = ""
) -> SourceListing:
    """List every image of ``source``, in an order that does not change between calls; none is read.

    Where there is a folder ``train`` with class folders in it, only what lies below it is listed.

    Args:
        source: in one of the forms of ``schemas/sources.py``; but for tables and torchvision, one folder per class,
            and optionally one folder ``train`` above them.
        scratch: a folder that stays until the images are read.
        folders: whether they say the class, or the split, too, or nothing.
        group_column: of a table, that says which images belong together.
        class_from: ``data.class_from``; empty for the highest folder.

    Raises:
        DataError: when there is nothing at its place, or it cannot be read to its end, or it is of no known form.
        StorageError: when S3 does not give it.
    """
    try:
        kind = kind_of(source)
    except ValueError as error:
        raise DataError(f"data.source={source!r}: {error}; correct it") from None
    return module_of(kind).list_images(ListingRequest(kind.place(source), scratch, folders, group_column, class_from))


def module_of(kind: SourceKind) -> SourceModule:
    """The file that lists a kind of source: loaded when it is needed, for some load pyarrow or torch."""
    return cast(SourceModule, importlib.import_module(f"{__package__}.{kind.module}"))
