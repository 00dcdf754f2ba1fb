"""``data.exclude``: a file of names of images that are to be left out."""

import codecs
import csv
import io
from collections.abc import Iterable

from sanefit.components.foundation.errors import DataError, StorageError
from sanefit.components.foundation.image_dataset.sources.csv_table import delimiter_of
from sanefit.components.foundation.storage import object_store

COLUMN = "path"


def read_excluded_names(uri: str) -> frozenset[str]:
    """The names that a file lists.

    Args:
        uri: a local or ``s3://`` file, UTF-8 or UTF-16: a CSV table with commas, semicolons or tabs whose first line
            has a column ``path``, as ``suspected-labels.csv``, or plain text, a name in each line.

    Raises:
        DataError: when it cannot be read, or names no image.
    """
    found = frozenset(name for name in _listed(_text(uri)) if name.strip())
    if not found:
        raise DataError(
            f"data.exclude={uri!r} names no image; expected a CSV table with a column {COLUMN!r}, or a name in each "
            "line; fill it, or remove data.exclude"
        )
    return found


def _listed(text: str) -> Iterable[str]:
    first = text.partition("\n")[0].rstrip("\r")
    header = next(csv.reader([first], delimiter=delimiter_of(first)), [])
    if COLUMN not in header:
        return (line.removesuffix("\r") for line in text.split("\n"))
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(first))
    return (row[COLUMN] or "" for row in rows)


def _text(uri: str) -> str:
    try:
        content = object_store.read_bytes(uri)
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        return content.decode(encoding, "surrogateescape")  # names of files may be of any bytes
    except (StorageError, UnicodeError) as error:
        reason = str(error).split(";")[0]
        raise DataError(
            f"data.exclude={uri!r} cannot be read: {reason}; expected a text file of names of images; correct it, or "
            "remove data.exclude"
        ) from None
