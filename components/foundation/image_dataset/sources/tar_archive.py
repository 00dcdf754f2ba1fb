"""``tar:PATH``: an archive of one folder per class."""

import bz2
import contextlib
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.local_file import PartOfFile, local_file
from sanefit.components.foundation.image_dataset.sources.source_image import (
    ListingRequest,
    SourceImage,
    SourceListing,
    with_class,
)

COPIED_AT_ONCE = 2**20
COMPRESSIONS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def list_images(request: ListingRequest) -> SourceListing:
    """Every image in a tar archive of this machine."""
    return list_tar(Path(request.place), request.scratch, own_splits=request.own_splits)


def list_tar(archive: Path, scratch: Path, *, own_splits: bool, origin: str = "") -> SourceListing:
    """Every image in a tar archive, in the archive's order; no member is unpacked.

    A compressed archive is decompressed, whole, into ``scratch``, so that its images can be read side by side.

    Args:
        archive: plain, or compressed by gzip, bzip2 or xz.
        scratch: a folder that stays until the images are read.
        own_splits: whether the source's own splits are asked for.
        origin: names the archive and its state; by default its path, time and size.
    """
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a tar archive; correct the path")
    listing = SourceListing()
    try:
        origin = origin or repr(local_file(str(archive)))
        plain = _decompressed(archive, scratch)
        with tarfile.open(plain, "r:") as tar:
            files = {member.name.removeprefix("./"): member for member in tar if member.isfile() or member.islnk()}
            _require_whole(tar)
            for name, class_name, split in with_class(files, listing, own_splits=own_splits):
                member = _linked(tar, files[name])
                place = PartOfFile(str(plain), member.offset_data, member.size, origin)
                listing.images.append(SourceImage(class_name, name, place, split))
    except (tarfile.TarError, EOFError, OSError, KeyError, zlib.error, lzma.LZMAError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"data.source: cannot read {str(archive)!r}: {reason}; expected a whole tar archive, "
            "plain or compressed; pack it again"
        ) from error
    return listing


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


def _linked(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """What a hard link stands for; KeyError when it is not there."""
    seen = {member.name}
    while member.islnk():
        member = tar.getmember(member.linkname)
        if member.name in seen:
            raise KeyError(f"a link to itself: {member.name!r}")
        seen.add(member.name)
    return member


def _require_whole(tar: tarfile.TarFile) -> None:
    """Read the end: tarfile takes a damaged header, or the file's end, for the archive's end."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    end_mark = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(end_mark) < tarfile.BLOCKSIZE or any(end_mark):
        raise tarfile.ReadError(f"no member and no end of the archive at byte {tar.offset}")
