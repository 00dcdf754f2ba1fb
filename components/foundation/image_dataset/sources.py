"""Where images come from: ``digits``, ``folder:PATH``, ``tar:PATH``.

A source yields each image once, with its class. A new source is one more function here.
"""

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
READ_BYTES = 2**20


@dataclass(frozen=True)
class SourceImage:
    """One image as it comes: ``content`` is an image file, or for ``digits`` its uint8 pixels."""

    class_name: str
    path: str
    content: bytes


@dataclass
class SourceListing:
    """Counts files that a source passed over: no image's suffix, or in no class folder."""

    ignored_files: int = 0


def read_source(source: str, listing: SourceListing) -> Iterator[SourceImage]:
    """Yield every image of ``source``, in an order that does not change between calls.

    Where there is a folder ``train`` with class folders in it, only what lies below it is read.

    Args:
        source: ``digits``, ``folder:PATH`` or ``tar:PATH``; one folder per class, and
            optionally one folder ``train`` above them.
        listing: takes the count of files passed over.

    Raises:
        DataError: when there is nothing at PATH, or it cannot be read to its end.
    """
    kind, _, path = source.partition(":")
    if kind == "digits":
        yield from _read_digits()
    elif kind == "folder":
        yield from _read_folder(Path(path), listing)
    else:
        yield from _read_tar(Path(path), listing)


def digits_pixels(content: bytes) -> NDArray[np.uint8]:
    """The uint8 (8, 8, 1) pixels of an image of the source ``digits``."""
    return np.frombuffer(content, dtype=np.uint8).reshape(8, 8, 1)


def _read_digits() -> Iterator[SourceImage]:
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    pixels = np.rint(scans * (255 / 16)).astype(np.uint8)  # the scans hold 0..16
    for number, (scan, label) in enumerate(zip(pixels, labels, strict=True)):
        yield SourceImage(str(label), f"{label}/{number:04d}", scan.tobytes())


def _read_folder(folder: Path, listing: SourceListing) -> Iterator[SourceImage]:
    if not folder.is_dir():
        raise DataError(
            f"data.source: no folder {str(folder)!r}; expected one folder per class there; correct the path"
        )
    path = folder
    try:
        names = sorted(file.relative_to(folder).as_posix() for file in _files_below(folder))
        for name, class_name in _with_class(names, listing):
            path = folder / name
            yield SourceImage(class_name, str(path), path.read_bytes())
    except OSError as error:
        raise DataError(
            f"data.source: cannot read {error.filename or str(path)!r}: {error.strerror}; expected readable files; "
            "fix permissions or the disk"
        ) from error


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file, also behind symbolic links to folders; a link to a folder above itself is not followed."""

    def stop(error: OSError) -> None:
        raise error

    for parent, subfolders, files in os.walk(folder, followlinks=True, onerror=stop):
        here = Path(parent)
        if here.is_symlink() and here.parent.resolve().is_relative_to(here.resolve()):
            subfolders.clear()
        else:
            yield from (here / file for file in files)


def _read_tar(archive: Path, listing: SourceListing) -> Iterator[SourceImage]:
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a tar archive; correct the path")
    try:
        with tarfile.open(archive, "r:*") as tar:
            files = {member.name.removeprefix("./"): member for member in tar if member.isfile() or member.islnk()}
            _require_whole(tar)
            for name, class_name in _with_class(files, listing):
                opened = tar.extractfile(files[name])
                assert opened is not None  # a file, or a hard link to one
                yield SourceImage(class_name, name, opened.read())
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


def _with_class(names: Iterable[str], listing: SourceListing) -> Iterator[tuple[str, str]]:
    """The image files among ``names``, each with its class; the others are counted."""
    paths = {name: PurePosixPath(name) for name in names}
    shown = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in path.parts)}
    images = {name: path for name, path in shown.items() if path.suffix.lower() in IMAGE_SUFFIXES}
    below_train = any(path.parts[0] == "train" and len(path.parts) > 2 for path in images.values())
    depth = 1 if below_train else 0
    for name in shown:
        parts = paths[name].parts
        if name in images and len(parts) > depth + 1 and (not below_train or parts[0] == "train"):
            yield name, _utf8(parts[depth])
        else:
            listing.ignored_files += 1


def _utf8(class_name: str) -> str:
    try:
        class_name.encode()
    except UnicodeEncodeError:
        raise DataError(f"class folder {class_name!r}: its name is not UTF-8; rename it") from None
    return class_name
