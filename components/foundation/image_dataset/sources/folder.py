"""``folder:PATH``: one folder per class."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources import object_prefix
from sanefit.components.foundation.image_dataset.sources.class_folders import LINK_TO_NOWHERE, NEITHER, Entries
from sanefit.components.foundation.image_dataset.sources.image_classes import with_class
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceImage, SourceListing
from sanefit.components.foundation.storage.remote_stores import is_remote


def list_images(request: ListingRequest) -> SourceListing:
    """Every image below a folder, of this machine or in an object store, in the order of the names."""
    if is_remote(request.place):
        return object_prefix.list_images(request)
    folder = Path(request.place)
    if not folder.is_dir():
        raise DataError(
            f"data.source: no folder {str(folder)!r}; expected one folder per class there; correct the path"
        )
    listing = SourceListing()
    path = str(folder)
    try:
        found = _below(str(folder))
        entries = Entries(sorted(found.files), found.folders, found.others)
        for name, class_name, split in with_class(
            entries, listing, folders=request.folders, class_from=request.class_from
        ):
            path = os.path.join(folder, name)  # noqa: PTH118  # pathlib takes ten times as long
            listing.images.append(SourceImage(class_name, path, local_file(path), split))
    except OSError as error:
        raise DataError(
            f"data.source: cannot read {error.filename or path!r}: {error.strerror}; expected readable files; "
            "fix permissions or the disk"
        ) from error
    return listing


@dataclass
class _Found:
    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)


def _below(folder: str) -> _Found:
    """All that there is, relative to the folder, also behind links to folders, but not to one above the link."""
    found = _Found()
    waiting = [""]
    while waiting:
        above = waiting.pop()
        with os.scandir(os.path.join(folder, above)) as entries:  # noqa: PTH118
            for entry in entries:
                name = f"{above}/{entry.name}" if above else entry.name
                if _is(entry.is_file):
                    found.files.append(name)
                elif not _is(entry.is_dir):
                    found.others[name] = LINK_TO_NOWHERE if entry.is_symlink() else NEITHER
                elif not _leads_above(entry):
                    found.folders.append(name)
                    waiting.append(name)
    return found


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # a link to itself
        return False


def _leads_above(folder: os.DirEntry[str]) -> bool:
    """Whether a folder is a link to one that it lies in."""
    path = Path(folder.path)
    return folder.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())
