"""A file by what is in it, not by where it lies."""

import hashlib
import importlib.util
from pathlib import Path

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.network_kind import PACKAGE
from sanefit.components.foundation.storage import cloud_store, object_store
from sanefit.components.foundation.storage.remote_stores import is_remote
from sanefit.components.foundation.storage.storage_failures import explained
from sanefit.components.foundation.storage.stored_objects import fetch, object_at

_fetched: dict[str, Path] = {}  # for forks of this process, which may not reach what it has


def current_copy(uri: str, cache_folder: Path | None = None) -> Path:
    """A local path with the content that ``uri`` has now: itself when local, else fetched once for each content.

    Args:
        uri: a path, ``s3://bucket/key``, or ``package:NAME/PATH``, a file of an installed Python package.
        cache_folder: for what is fetched; by default that of this machine.

    Raises:
        StorageError: when it cannot be read.
    """
    if uri.startswith(PACKAGE):
        return _of_package(uri)
    if not is_remote(uri):
        return Path(uri)
    if uri in _fetched and cloud_store.is_cut_off():
        return _fetched[uri]
    _fetched[uri] = fetch(object_at(uri), cache_folder or object_store.local_cache())
    return _fetched[uri]


def _of_package(uri: str) -> Path:
    name, _, path = uri.removeprefix(PACKAGE).partition("/")
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.submodule_search_locations:
        raise StorageError(
            f"{uri!r}: there is no package {name!r} here; expected one that is installed where the steps run; "
            "install it"
        )
    return Path(found.submodule_search_locations[0]) / path


def digest_of_content(uri: str, cache_folder: Path | None = None) -> str:
    """SHA-256, in hex, of the bytes at ``uri``, read in pieces.

    Raises:
        StorageError: when it cannot be read.
    """
    with explained("read", uri), current_copy(uri, cache_folder).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
