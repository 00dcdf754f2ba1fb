"""A file by what is in it, not by where it lies."""

import hashlib
from pathlib import Path

from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.s3_objects import fetch, list_objects
from sanefit.components.foundation.storage.storage_failures import explained


def current_copy(uri: str, cache_folder: Path | None = None) -> Path:
    """A local path with the content that ``uri`` has now: itself when local, else fetched once for each content.

    Raises:
        StorageError: when it cannot be read.
    """
    if not object_store.is_s3(uri):
        return Path(uri)
    [stored] = list_objects(uri, exactly=True)
    return fetch(stored, cache_folder or object_store.local_cache())


def digest_of_content(uri: str, cache_folder: Path | None = None) -> str:
    """SHA-256, in hex, of the bytes at ``uri``, read in pieces.

    Raises:
        StorageError: when it cannot be read.
    """
    with explained("read", uri), current_copy(uri, cache_folder).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
