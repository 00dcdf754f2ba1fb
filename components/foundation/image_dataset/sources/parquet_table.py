"""``parquet:PATH``: a table of ``path,label[,split]``, over files beside it or anywhere."""

import io

import pyarrow
from pyarrow import parquet

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceListing
from sanefit.components.foundation.image_dataset.sources.table_rows import Row, columns_of, listed, require_columns
from sanefit.components.foundation.storage import object_store


def list_images(request: ListingRequest) -> SourceListing:
    """Every image of a Parquet table, as of a CSV one.

    Labels may be numbers: their decimal digits are the class's name.
    """
    try:
        opened = parquet.ParquetFile(io.BytesIO(object_store.read_bytes(request.place)))
        require_columns(request, opened.schema_arrow.names)
        columns = opened.read([*columns_of(request)]).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(
            f"data.source: cannot read {request.place!r}: {' '.join(str(error).split())[:200]}; "
            "expected a Parquet file; write it again"
        ) from error
    rows: list[Row] = [{name: None if value is None else str(value) for name, value in row.items()} for row in columns]
    return listed(request, enumerate(rows, start=1))
