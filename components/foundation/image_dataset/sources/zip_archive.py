"""``zip:PATH``: an archive of one folder per class."""

import functools
import os
import posixpath
import stat
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.class_folders import LINK_TO_NOWHERE, Entries
from sanefit.components.foundation.image_dataset.sources.image_classes import with_class
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.remote_archive import local_archive
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceListing,
)
from sanefit.components.foundation.schemas.sources import Folders


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip archive. ``origin`` names the archive, and its state."""

    archive: str
    name: str
    origin: str

    def read(self) -> bytes:
        """The member, decompressed.

        Raises:
            DataError: when it cannot be read.
        """
        try:
            return _opened(self.archive, os.getpid()).read(self.name)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise _unreadable(self.archive, error) from error

    def state(self) -> bytes:
        """The archive's, and the member's name."""
        return f"member {self.origin} {self.name}".encode("utf-8", "surrogateescape")


def list_images(request: ListingRequest) -> SourceListing:
    """Every image in a zip archive, of this machine or in an object store."""
    archive, origin, objects = local_archive(request.place)
    listing = list_zip(archive, folders=request.folders, class_from=request.class_from, origin=origin)
    return replace(listing, objects=objects)


def list_zip(archive: Path, *, folders: Folders, class_from: str = "", origin: str = "") -> SourceListing:
    """Every image in a zip archive, in the archive's order; nothing is unpacked to disk.

    Args:
        archive: the file.
        folders: what they say.
        class_from: where the class stands in a path; empty for the highest folder.
        origin: names the archive and its state; by default its path, time and size.
    """
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a zip archive; correct the path")
    listing = SourceListing()
    try:
        origin = origin or repr(local_file(str(archive)))
        with zipfile.ZipFile(archive) as opened:
            listed = _list_members(opened)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise _unreadable(str(archive), error) from error
    for name, class_name, split in with_class(listed.entries, listing, folders=folders, class_from=class_from):
        place = ZipMember(str(archive), listed.stored_as[name], origin)
        listing.images.append(SourceImage(class_name, name, place, split))
    return listing


@dataclass(frozen=True)
class _Members:
    """``stored_as``: for each file the archive's own name of the member that holds its bytes."""

    entries: Entries
    stored_as: dict[str, str]


def _list_members(opened: zipfile.ZipFile) -> _Members:
    """Windows writes backslashes between folders, and Unix a link as a small file that holds where it leads."""
    windows = not any("/" in member.filename for member in opened.infolist())
    named = {member.filename.replace("\\", "/") if windows else member.filename: member for member in opened.infolist()}
    links = {name for name, member in named.items() if stat.S_ISLNK(member.external_attr >> 16)}
    stored_as: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, member in named.items():
        if name in links:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), opened.read(member).decode()))
            if target in named and target not in links:
                stored_as[name] = named[target].filename
            else:
                others[name] = LINK_TO_NOWHERE
        elif not name.endswith("/"):
            stored_as[name] = member.filename
    return _Members(Entries(stored_as, [name for name in named if name.endswith("/")], others), stored_as)


@functools.lru_cache(maxsize=1)
def _opened(archive: str, process: int) -> zipfile.ZipFile:
    """Kept open for the next member; each process has its own, for they would move each other's file position."""
    del process
    return zipfile.ZipFile(archive)


def _unreadable(archive: str, error: Exception) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(
        f"data.source: cannot read {archive!r}: {reason}; expected a whole zip archive without a password; "
        "pack it again"
    )
