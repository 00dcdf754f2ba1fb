"""``zip:PATH``: an archive of one folder per class."""

import functools
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.local_file import local_file
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceListing,
    with_class,
)


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
    """Every image in a zip archive of this machine."""
    return list_zip(Path(request.place), own_splits=request.own_splits)


def list_zip(archive: Path, *, own_splits: bool, origin: str = "") -> SourceListing:
    """Every image in a zip archive, in the archive's order; nothing is unpacked to disk.

    Args:
        archive: the file.
        own_splits: whether the source's own splits are asked for.
        origin: names the archive and its state; by default its path, time and size.
    """
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a zip archive; correct the path")
    listing = SourceListing()
    try:
        origin = origin or repr(local_file(str(archive)))
        with zipfile.ZipFile(archive) as opened:
            files = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise _unreadable(str(archive), error) from error
    for name, class_name, split in with_class(files, listing, own_splits=own_splits):
        listing.images.append(SourceImage(class_name, name, ZipMember(str(archive), name, origin), split))
    return listing


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
