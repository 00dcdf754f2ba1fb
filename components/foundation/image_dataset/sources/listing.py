"""From the setting ``data.source`` to the images that are there."""

from pathlib import Path

from sanefit.components.foundation.image_dataset.sources.digits import list_digits
from sanefit.components.foundation.image_dataset.sources.folder import list_folder
from sanefit.components.foundation.image_dataset.sources.s3_prefix import list_s3
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.image_dataset.sources.table import list_csv, list_parquet
from sanefit.components.foundation.image_dataset.sources.tar_archive import list_tar
from sanefit.components.foundation.image_dataset.sources.torchvision_dataset import list_torchvision
from sanefit.components.foundation.image_dataset.sources.zip_archive import list_zip


def list_source(source: str, scratch: Path, *, own_splits: bool = False) -> SourceListing:
    """List every image of ``source``, in an order that does not change between calls; none is read.

    Where there is a folder ``train`` with class folders in it, only what lies below it is listed.

    Args:
        source: ``digits``, ``folder:PATH``, ``tar:PATH``, ``zip:PATH``, ``csv:PATH``, ``parquet:PATH``,
            ``torchvision:NAME`` or ``s3://BUCKET/KEY``; but for tables and torchvision, one folder per class, and
            optionally one folder ``train`` above them.
        scratch: a folder that stays until the images are read.
        own_splits: whether each image keeps the split that the source puts it in.

    Raises:
        DataError: when there is nothing at PATH, or it cannot be read to its end.
        StorageError: when S3 does not give it.
    """
    kind, _, path = source.partition(":")
    match kind:
        case "digits":
            return list_digits()
        case "folder":
            return list_folder(Path(path), own_splits=own_splits)
        case "tar":
            return list_tar(Path(path), scratch, own_splits=own_splits)
        case "zip":
            return list_zip(Path(path), own_splits=own_splits)
        case "csv":
            return list_csv(path, own_splits=own_splits)
        case "parquet":
            return list_parquet(path, own_splits=own_splits)
        case "torchvision":
            return list_torchvision(path, own_splits=own_splits)
        case _:
            return list_s3(source, scratch, own_splits=own_splits)
