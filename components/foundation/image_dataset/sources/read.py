"""From the setting ``data.source`` to images."""

from collections.abc import Iterator
from pathlib import Path

from components.foundation.image_dataset.sources.csv_manifest import read_csv
from components.foundation.image_dataset.sources.digits import read_digits
from components.foundation.image_dataset.sources.folder import read_folder
from components.foundation.image_dataset.sources.s3_prefix import read_s3
from components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing
from components.foundation.image_dataset.sources.tar_archive import read_tar
from components.foundation.image_dataset.sources.zip_archive import read_zip


def read_source(source: str, listing: SourceListing) -> Iterator[SourceImage]:
    """Yield every image of ``source``, in an order that does not change between calls.

    Where there is a folder ``train`` with class folders in it, only what lies below it is read.

    Args:
        source: ``digits``, ``folder:PATH``, ``tar:PATH``, ``zip:PATH``, ``csv:PATH`` or ``s3://BUCKET/KEY``; but for a
            table, one folder per class, and optionally one folder ``train`` above them.
        listing: whether the source's own splits are asked for; takes the count of files passed over.

    Raises:
        DataError: when there is nothing at PATH, or it cannot be read to its end.
        StorageError: when S3 does not give it.
    """
    kind, _, path = source.partition(":")
    match kind:
        case "digits":
            yield from read_digits()
        case "folder":
            yield from read_folder(Path(path), listing)
        case "tar":
            yield from read_tar(Path(path), listing)
        case "zip":
            yield from read_zip(Path(path), listing)
        case "csv":
            yield from read_csv(path, listing)
        case _:
            yield from read_s3(source, listing)
