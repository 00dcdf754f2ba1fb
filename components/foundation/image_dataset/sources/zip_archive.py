"""``zip:PATH``: an archive of one folder per class."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from components.foundation.errors import DataError
from components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing, with_class


def read_zip(archive: Path, listing: SourceListing) -> Iterator[SourceImage]:
    """Every image in a zip archive, in the archive's order; nothing is unpacked to disk."""
    if not archive.is_file():
        raise DataError(f"data.source: no file {str(archive)!r}; expected a zip archive; correct the path")
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [entry.filename for entry in opened.infolist() if not entry.is_dir()]
            for name, class_name, split in with_class(files, listing):
                yield SourceImage(class_name, name, opened.read(name), split)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"data.source: cannot read {str(archive)!r}: {reason}; expected a whole zip archive without a password; "
            "pack it again"
        ) from error
