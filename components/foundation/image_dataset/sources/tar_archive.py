"""``tar:PATH``: an archive of one folder per class."""

import bz2
import contextlib
import gzip
import lzma
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.class_folders import LINK_TO_NOWHERE, NEITHER, Entries
from sanefit.components.foundation.image_dataset.sources.image_classes import with_class
from sanefit.components.foundation.image_dataset.sources.local_file import PartOfFile, local_file
from sanefit.components.foundation.image_dataset.sources.remote_archive import local_archive
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceListing,
)
from sanefit.components.foundation.image_dataset.sources.tar_headers import TarHeaders, read_headers
from sanefit.components.foundation.schemas.sources import Folders

COPIED_AT_ONCE = 2**20
COMPRESSIONS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def list_images(request: ListingRequest) -> SourceListing:
    """Every image in a tar archive, of this machine or in an object store."""
    archive, origin, objects = local_archive(request.place)
    listing = list_tar(archive, request.scratch, folders=request.folders, class_from=request.class_from, origin=origin)
    return replace(listing, objects=objects)


def list_tar(
    archive: Path, scratch: Path, *, folders: Folders, class_from: str = "", origin: str = ""
) -> SourceListing:
    """Every image in a tar archive, in the archive's order; no member is unpacked.

    A compressed archive is decompressed, whole, into ``scratch``, so that its images can be read side by side.

    Args:
        archive: plain, or compressed by gzip, bzip2 or xz.
        scratch: a folder that stays until the images are read.
        folders: what they say.
        class_from: where the class stands in a path; empty for the highest folder.
        origin: names the archive and its state; by default its path, time and size.
    """
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a tar archive; correct the path")
    listing = SourceListing()
    with opened_tar(archive, scratch, str(archive)) as tar:
        origin = origin or repr(local_file(str(archive)))
        if (headers := read_headers(Path(str(tar.name)))) is not None:
            _list_ordinary(headers, listing, folders, PartOfFile(str(tar.name), 0, 0, origin))
            return listing
        listed = _list_members({_plain_name(member): member for member in each_member(tar)})
        for name, class_name, split in with_class(listed.entries, listing, folders=folders, class_from=class_from):
            place = place_of(tar, listed.member_of[name], scratch, origin)
            listing.images.append(SourceImage(class_name, name, place, split))
    return listing


def _list_ordinary(headers: TarHeaders, listing: SourceListing, folders: Folders, archive: PartOfFile) -> None:
    number = 0
    for name, class_name, split in with_class(headers.entries, listing, folders=folders):
        while headers.names[number] != name:  # they come in the archive's order
            number += 1
        place = PartOfFile(archive.path, headers.starts[number], headers.sizes[number], archive.origin)
        listing.images.append(SourceImage(class_name, name, place, split))


@contextlib.contextmanager
def opened_tar(archive: Path, scratch: Path, name: str) -> Iterator[tarfile.TarFile]:
    """A tar archive, plain: a compressed one is decompressed into ``scratch``.

    Args:
        archive: plain, or compressed by gzip, bzip2 or xz.
        scratch: a folder that stays until the members are read.
        name: what users call the archive.

    Raises:
        DataError: when it, or what is read of it inside the context, is damaged.
    """
    try:
        with tarfile.open(_decompressed(archive, scratch), "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"data.source: cannot read {name!r}: {reason}; expected a whole tar archive, "
            "plain or compressed; pack it again"
        ) from error


def each_member(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members in the archive's order, none of them kept.

    Raises:
        tarfile.TarError: when the archive is not whole.
    """
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # it remembers all: a kilobyte for each
        yield member
    _require_whole(tar)


def _decompressed(archive: Path, scratch: Path) -> Path:
    with archive.open("rb") as opened:
        start = opened.read(6)
    for mark, decompressing in COMPRESSIONS.items():
        if start.startswith(mark):
            with (
                contextlib.closing(decompressing(archive, "rb")) as source,
                tempfile.NamedTemporaryFile(dir=scratch, suffix=".tar", delete=False) as target,
            ):
                shutil.copyfileobj(source, target, COPIED_AT_ONCE)
            return Path(target.name)
    return archive


@dataclass(frozen=True)
class _Members:
    """``member_of``: for each file the member that holds its bytes."""

    entries: Entries
    member_of: dict[str, tarfile.TarInfo]


def _list_members(members: dict[str, tarfile.TarInfo]) -> _Members:
    member_of: dict[str, tarfile.TarInfo] = {}
    folders, others = [], {}
    for name, member in members.items():
        target = _linked(members, name)
        if target is None:
            others[name] = LINK_TO_NOWHERE
        elif target.isfile():
            member_of[name] = target
        elif target.isdir() and not member.issym():
            folders.append(name)
        else:
            others[name] = "a link to a folder" if target.isdir() else NEITHER
    return _Members(Entries(member_of, folders, others), member_of)


def _linked(members: dict[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo | None:
    """What a name stands for behind its links; None when that is not in the archive."""
    seen = set()
    while name in members and name not in seen:
        seen.add(name)
        member = members[name]
        if member.issym():
            name = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.islnk():
            name = posixpath.normpath(member.linkname)
        else:
            return member
    return None


def _plain_name(member: tarfile.TarInfo) -> str:
    return posixpath.normpath(member.name)


def place_of(tar: tarfile.TarFile, member: tarfile.TarInfo, scratch: Path, origin: str) -> PartOfFile:
    """Where a file's bytes are; one that is stored without its zeros is written out whole, into ``scratch``.

    Args:
        tar: plain.
        member: a file.
        scratch: a folder that stays until it is read.
        origin: names the archive and its state.
    """
    if not member.issparse():
        return PartOfFile(str(tar.name), member.offset_data, member.size, origin)
    content = tar.extractfile(member)
    assert content is not None
    with content, tempfile.NamedTemporaryFile(dir=scratch, delete=False) as whole:
        shutil.copyfileobj(content, whole, COPIED_AT_ONCE)
    return PartOfFile(whole.name, 0, member.size, f"{origin} {member.name}")


def _require_whole(tar: tarfile.TarFile) -> None:
    """Read the end: tarfile takes a damaged header, or the file's end, for the archive's end."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    end_mark = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(end_mark) < tarfile.BLOCKSIZE or any(end_mark):
        raise tarfile.ReadError(f"no member and no end of the archive at byte {tar.offset}")
