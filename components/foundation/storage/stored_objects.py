"""Many objects of a store: listed at once, then read as they were listed, or fetched into a cache."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sanefit.components.foundation.storage.object_store import used_copy
from sanefit.components.foundation.storage.remote_stores import StoredObject, endpoint, outermost_folders, store_of
from sanefit.components.foundation.storage.storage_failures import explained, storage_error

RANGES_AT_ONCE = 32
LARGE = 8 * 2**20  # bytes; larger objects are read in parallel ranges


def list_objects(folder: str) -> list[StoredObject]:
    """Every object below an address that ends with a slash, in the order of the keys.

    Raises:
        StorageError: when the bucket cannot be listed.
    """
    with explained("list", folder):
        return list(store_of(folder).listed(folder))


def object_at(uri: str) -> StoredObject:
    """The object at an address, as it is now.

    Raises:
        StorageError: when there is none, or the store cannot be asked.
    """
    with explained("read", uri):
        found = store_of(uri).stat(uri)
    if found is None:
        raise storage_error("read", uri, "there is no such object")
    return found


def stat_objects(uris: Iterable[str]) -> dict[str, StoredObject]:
    """Each of these objects as it is now; those that are not there are left out.

    Lists the folders that they lie in, which takes a thousandth of the requests that asking for each would.

    Raises:
        StorageError: when a folder cannot be listed.
    """
    wanted = set(uris)
    return {
        stored.uri: stored
        for folder in outermost_folders(wanted)
        for stored in list_objects(folder)
        if stored.uri in wanted
    }


def pinned(objects: Sequence[StoredObject]) -> list[StoredObject]:
    """The same objects, each with its version where its store keeps versions and says them.

    So what was listed is read, also when it has been overwritten since. All lie in one kind of store.

    Raises:
        StorageError: when the store does not answer.
    """
    if not objects:
        return []
    with explained("list", objects[0].uri):
        return store_of(objects[0].uri).pinned(objects)


def pinned_objects(uris: Iterable[str]) -> dict[str, StoredObject]:
    """As ``stat_objects``, each as ``pinned`` gives it."""
    return {stored.uri: stored for stored in pinned(list(stat_objects(uris).values()))}


def copy_of_object(stored: StoredObject, cache_folder: Path) -> Path:
    """Where ``fetch`` puts an object."""
    name = hashlib.sha256(f"{endpoint(stored.uri)} {stored.uri} {stored.etag} {stored.size}".encode()).hexdigest()
    return cache_folder / "objects" / name[:2] / name


def fetch(stored: StoredObject, cache_folder: Path) -> Path:
    """A local copy of an object, named by its URI, ETag and size: fetched once as long as these are the same.

    Large objects are read in parallel ranges; what breaks off is read again.

    Raises:
        StorageError: when it cannot be read, or is not what was listed.
    """
    copy = copy_of_object(stored, cache_folder)
    if used_copy(copy):
        return copy
    with explained("read", stored.uri):
        copy.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=copy.parent, prefix=".partial-")
        os.close(handle)
        partial = Path(name)
        try:
            store_of(stored.uri).download(stored.uri, partial, version=stored.version)
            seen = partial.stat().st_size
            if seen != stored.size:
                raise storage_error("read", stored.uri, f"{seen} bytes, {stored.size} were listed: it changed")
            partial.replace(copy)
        finally:
            partial.unlink(missing_ok=True)
    return copy


def read_ranges(ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
    """Parts of objects, several at once: of each its address, the first byte, and how many.

    Raises:
        StorageError: when one cannot be read, or ends before.
    """
    if not ranges:
        return []
    endpoint(ranges[0][0])  # one client, which all threads share
    with ThreadPoolExecutor(min(RANGES_AT_ONCE, len(ranges))) as threads:
        return list(threads.map(_read_range, ranges))


def _read_range(wanted: tuple[str, int, int]) -> bytes:
    uri, start, size = wanted
    with explained("read", uri):
        found = store_of(uri).get_range(uri, start, size)
    if len(found) != size:
        raise storage_error("read", uri, f"{len(found)} bytes from byte {start:,} on, {size:,} were expected")
    return found


def read_object(stored: StoredObject) -> bytes:
    """An object's content; what breaks off is read again.

    Raises:
        StorageError: when it cannot be read, or is not what was listed.
    """
    if stored.size > LARGE:
        with tempfile.TemporaryDirectory() as folder:
            return fetch(stored, Path(folder)).read_bytes()
    with explained("read", stored.uri):
        return store_of(stored.uri).get_as_listed(stored)
