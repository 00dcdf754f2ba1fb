"""Many objects in S3: listed at once, then read as they were listed, or fetched into a cache."""

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.storage.object_store import used_copy
from sanefit.components.foundation.storage.s3_client import ATTEMPTS, bucket_and_key, endpoint, s3_client
from sanefit.components.foundation.storage.storage_failures import explained, storage_error

LARGE = 8 * 2**20  # bytes; larger objects are read in parallel ranges


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in S3 as it was listed."""

    uri: str
    etag: str
    size: int


def list_objects(prefix: str, *, exactly: bool = False) -> list[StoredObject]:
    """Every object below an ``s3://`` prefix, in the order of the keys; folders' placeholders are left out.

    Args:
        prefix: ends with a slash, unless ``exactly``.
        exactly: the one object of this name.

    Raises:
        StorageError: when the bucket cannot be listed, or ``exactly`` finds none.
    """
    bucket, key = bucket_and_key(prefix)
    with explained("list", prefix):
        pages = s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        listed = [item for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    found = [StoredObject(f"s3://{bucket}/{item['Key']}", item["ETag"], item["Size"]) for item in listed]
    if not exactly:
        return found
    same = [stored for stored in found if stored.uri == prefix]
    if not same:
        raise storage_error("read", prefix, "there is no such object")
    return same


def stat_objects(uris: Iterable[str]) -> dict[str, StoredObject]:
    """Each of these objects as it is now; those that are not there are left out.

    Lists the folders that they lie in, which takes a thousandth of the requests that asking for each would.

    Raises:
        StorageError: when a folder cannot be listed.
    """
    wanted = set(uris)
    found: dict[str, StoredObject] = {}
    listed = ""
    for folder in sorted({uri.rpartition("/")[0] + "/" for uri in wanted}):
        if not listed or not folder.startswith(listed):
            listed = folder
            found |= {stored.uri: stored for stored in list_objects(folder) if stored.uri in wanted}
    return found


def copy_of_object(stored: StoredObject, cache_folder: Path) -> Path:
    """Where ``fetch`` puts an object."""
    name = hashlib.sha256(f"{endpoint()} {stored.uri} {stored.etag} {stored.size}".encode()).hexdigest()
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
    bucket, key = bucket_and_key(stored.uri)
    with explained("read", stored.uri):
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=copy.parent, prefix=".partial-", delete=False) as aside:
            partial = Path(aside.name)
            try:
                s3_client().download_fileobj(bucket, key, aside)
                aside.flush()
                seen = partial.stat().st_size
                if seen != stored.size:
                    raise storage_error("read", stored.uri, f"{seen} bytes, {stored.size} were listed: it changed")
                partial.replace(copy)
            finally:
                partial.unlink(missing_ok=True)
    return copy


def read_object(stored: StoredObject) -> bytes:
    """An object's content; what breaks off is read again.

    Raises:
        StorageError: when it cannot be read, or is not what was listed.
    """
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    if stored.size > LARGE:
        with tempfile.TemporaryDirectory() as folder:
            return fetch(stored, Path(folder)).read_bytes()
    bucket, key = bucket_and_key(stored.uri)
    with explained("read", stored.uri):
        for attempt in range(ATTEMPTS):
            try:
                return s3_client().get_object(Bucket=bucket, Key=key, IfMatch=stored.etag)["Body"].read()
            except (HTTPClientError, IncompleteReadError):
                if attempt == ATTEMPTS - 1:
                    raise
    raise AssertionError("the last attempt returns or raises")
