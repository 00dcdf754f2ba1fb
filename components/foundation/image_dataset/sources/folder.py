"""``folder:PATH``: one folder per class."""

import os
from collections.abc import Iterator
from pathlib import Path

from components.foundation.errors import DataError
from components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing, with_class


def read_folder(folder: Path, listing: SourceListing) -> Iterator[SourceImage]:
    """Every image below a folder, in the order of the names."""
    if not folder.is_dir():
        raise DataError(
            f"data.source: no folder {str(folder)!r}; expected one folder per class there; correct the path"
        )
    path = folder
    try:
        names = sorted(file.relative_to(folder).as_posix() for file in _files_below(folder))
        for name, class_name, split in with_class(names, listing):
            path = folder / name
            yield SourceImage(class_name, str(path), path.read_bytes(), split)
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
