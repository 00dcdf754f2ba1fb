"""``csv:PATH``: a table of ``path,label[,split]``, over files beside it or anywhere."""

import codecs
import csv

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest, SourceListing
from sanefit.components.foundation.image_dataset.sources.table_rows import listed, require_columns
from sanefit.components.foundation.storage import object_store


def list_images(request: ListingRequest) -> SourceListing:
    """Every image of a CSV table, in its order; relative paths begin where the table lies.

    Args:
        request: the place is a local or ``s3://`` file of UTF-8 or UTF-16 with commas, semicolons or tabs; its header
            has ``path`` and ``label``, and ``split`` (train, val or test) when the source's own splits are asked for.

    Raises:
        DataError: when a column or a value is missing, or it is no text.
        StorageError: when the table or an image is not there.
    """
    text = _text(request.place, object_store.read_bytes(request.place))
    lines = text.splitlines()
    rows = csv.DictReader(lines, delimiter=delimiter_of(lines[0] if lines else ""))
    require_columns(request, list(rows.fieldnames or ()))
    return listed(request, enumerate(rows, start=2))


def _text(table: str, content: bytes) -> str:
    """UTF-8, or the UTF-16 that Excel calls Unicode text; anything else could merge two labels into one."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"data.source: {table!r} line {line} is not UTF-8 (byte {content[error.start]:#04x}); expected a table in "
            "UTF-8; save it anew, in Excel as 'CSV UTF-8'"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"data.source: {table!r} line {line} holds a NUL character; expected text; write the table again, as UTF-8"
        )
    return text


def delimiter_of(header: str) -> str:
    """What separates a table's columns, by its first line.

    A comma, unless the header has none and a semicolon or a tab instead, as Excel writes in half of the world.
    """
    return next((mark for mark in ",;\t" if mark in header), ",")
