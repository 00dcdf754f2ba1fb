"""``folder:PATH``: one folder per class."""

import os
from collections.abc import Iterator
from pathlib import Path

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceListing,
    with_class,
)


def list_images(request: ListingRequest) -> SourceListing:
    """Every image below a folder, in the order of the names."""
    folder = Path(request.place)
    if not folder.is_dir():
        raise DataError(
            f"data.source: no folder {str(folder)!r}; expected one folder per class there; correct the path"
        )
    listing = SourceListing()
    path = str(folder)
    try:
        names = sorted(_names_below(str(folder)))
        for name, class_name, split in with_class(names, listing, own_splits=request.own_splits):
            path = os.path.join(folder, name)  # noqa: PTH118  # pathlib takes ten times as long
            listing.images.append(SourceImage(class_name, path, local_file(path), split))
    except OSError as error:
        raise DataError(
            f"data.source: cannot read {error.filename or path!r}: {error.strerror}; expected readable files; "
            "fix permissions or the disk"
        ) from error
    return listing


def _names_below(folder: str) -> Iterator[str]:
    """Every file, relative to the folder, also behind symbolic links to folders, but not to one above the link."""

    def stop(error: OSError) -> None:
        raise error

    for parent, subfolders, files in os.walk(folder, followlinks=True, onerror=stop):
        here = Path(parent)
        if here.is_symlink() and here.parent.resolve().is_relative_to(here.resolve()):
            subfolders.clear()
        else:
            above = parent[len(folder) :].lstrip("/")
            yield from (f"{above}/{file}" if above else file for file in files)
