"""``zip:PATH``: an archive of one folder per class."""

import zipfile
from pathlib import Path

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.location import ZipMember, local_file, unreadable_zip
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing, with_class


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
        raise unreadable_zip(str(archive), error) from error
    for name, class_name, split in with_class(files, listing, own_splits=own_splits):
        listing.images.append(SourceImage(class_name, name, ZipMember(str(archive), name, origin), split))
    return listing
