"""Where images come from: ``digits``, ``folder:PATH``, ``tar:PATH``.

A source yields each image once, with its class. A new source is one more function here.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True)
class SourceImage:
    """One image as it comes: ``content`` is an image file, or for ``digits`` its uint8 pixels."""

    class_name: str
    path: str
    content: bytes


@dataclass
class SourceListing:
    """Counts files that a source passed over because their suffix is not an image's."""

    ignored_files: int = 0


def read_source(source: str, listing: SourceListing) -> Iterator[SourceImage]:
    """Yield every image of ``source``, in an order that does not change between calls.

    Args:
        source: ``digits``, ``folder:PATH`` or ``tar:PATH``; one folder per class, and
            optionally one folder ``train`` above them.
        listing: takes the count of files passed over.

    Raises:
        DataError: when there is nothing at PATH, or it cannot be read.
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
    try:
        root = folder / "train" if (folder / "train").is_dir() else folder
        for path in sorted(root.rglob("*")):
            if path.is_file() and (class_name := _class_of(path.relative_to(root).as_posix(), listing)):
                yield SourceImage(class_name, str(path), path.read_bytes())
    except OSError as error:
        raise DataError(
            f"data.source: cannot read {error.filename!r}: {error.strerror}; expected readable files; fix permissions"
        ) from error


def _read_tar(archive: Path, listing: SourceListing) -> Iterator[SourceImage]:
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a tar archive; correct the path")
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                name = member.name.removeprefix("./").removeprefix("train/")
                if member.isfile() and (class_name := _class_of(name, listing)):
                    opened = tar.extractfile(member)
                    assert opened is not None  # isfile() holds
                    yield SourceImage(class_name, member.name, opened.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"data.source: cannot read {str(archive)!r}: {error}; expected a whole tar archive, "
            "plain or compressed; pack it again"
        ) from error


def _class_of(relative: str, listing: SourceListing) -> str | None:
    """The class folder of an image file; None, and counted, for anything else."""
    path = PurePosixPath(relative)
    if any(part.startswith(".") for part in path.parts):
        return None
    if len(path.parts) < 2 or path.suffix.lower() not in IMAGE_SUFFIXES:
        listing.ignored_files += 1
        return None
    return path.parts[0]
