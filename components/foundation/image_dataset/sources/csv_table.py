"""``csv:PATH``: a table of ``path,label[,split]``, over files beside it or anywhere."""

import csv

from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceListing
from sanefit.components.foundation.image_dataset.sources.table_rows import listed, require_columns
from sanefit.components.foundation.storage import object_store


def list_images(request: ListingRequest) -> SourceListing:
    """Every image of a CSV table, in its order; relative paths begin where the table lies.

    Args:
        request: the place is a local or ``s3://`` file, UTF-8, with a header that has ``path`` and ``label``, and
            ``split`` (train, val or test) when the source's own splits are asked for.

    Raises:
        DataError: when a column or a value is missing.
        StorageError: when the table or an image is not there.
    """
    text = object_store.read_bytes(request.place).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines())
    require_columns(request, list(rows.fieldnames or ()))
    return listed(request, enumerate(rows, start=2))
