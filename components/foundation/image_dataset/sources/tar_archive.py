"""``tar:PATH``: an archive of one folder per class."""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from components.foundation.errors import DataError
from components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing, with_class

READ_BYTES = 2**20


def read_tar(archive: Path, listing: SourceListing) -> Iterator[SourceImage]:
    """Every image in a tar archive, plain or compressed, in the archive's order; nothing is unpacked to disk."""
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a tar archive; correct the path")
    try:
        with tarfile.open(archive, "r:*") as tar:
            files = {member.name.removeprefix("./"): member for member in tar if member.isfile() or member.islnk()}
            _require_whole(tar)
            for name, class_name, split in with_class(files, listing):
                opened = tar.extractfile(files[name])
                assert opened is not None  # a file, or a hard link to one
                yield SourceImage(class_name, name, opened.read(), split)
    except (tarfile.TarError, EOFError, OSError, KeyError, zlib.error, lzma.LZMAError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"data.source: cannot read {str(archive)!r}: {reason}; expected a whole tar archive, "
            "plain or compressed; pack it again"
        ) from error


def _require_whole(tar: tarfile.TarFile) -> None:
    """Read on to the end: tarfile takes a damaged header, or the file's end, for the archive's end."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    end_mark = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(end_mark) < tarfile.BLOCKSIZE or any(end_mark):
        raise tarfile.ReadError(f"no member and no end of the archive at byte {tar.offset}")
    while tar.fileobj.read(READ_BYTES):  # to the checksum of a compressed archive
        pass
