"""Google Cloud Storage (``gs://BUCKET/KEY``) and Azure Blob Storage (``az://CONTAINER/KEY``), by obstore.

Accounts, credentials and endpoints come from the environment, as obstore reads it: ``GOOGLE_APPLICATION_CREDENTIALS``,
``AZURE_STORAGE_ACCOUNT_NAME``, …, or from the identity of the machine or pod.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sanefit.components.foundation.storage.remote_stores import ATTEMPTS, StoredObject, bucket_and_key, scheme_of

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig

PATIENCE = timedelta(minutes=2)  # with all attempts of one request
# The project that pays for what is read of a bucket whose owner does not, as Google's own libraries call it.
PAYER = "GOOGLE_CLOUD_QUOTA_PROJECT"
PIECE = 8 * 2**20  # bytes of a download that are held at once
_used_by = 0  # the process whose threads serve it


@functools.cache
def reached_store(scheme: str, bucket: str) -> "GCSStore | AzureStore":
    """One for each bucket, or container, and process."""
    from obstore.store import AzureStore, GCSStore

    retries: RetryConfig = {"max_retries": ATTEMPTS - 1, "retry_timeout": PATIENCE}
    options: ClientConfig = {"allow_http": True}
    if scheme == "az":
        return AzureStore(bucket, retry_config=retries, client_options=options)
    if payer := os.environ.get(PAYER):
        options["default_headers"] = {"x-goog-user-project": payer}
    return GCSStore(bucket, retry_config=retries, client_options=options)


def _at(uri: str) -> tuple["GCSStore | AzureStore", str]:
    global _used_by
    _used_by = _used_by or os.getpid()
    if is_cut_off():
        raise RuntimeError("a process that was forked cannot reach Google's or Azure's storage: obstore's threads stay")
    bucket, key = bucket_and_key(uri)
    return reached_store(scheme_of(uri), bucket), key


def is_in_use() -> bool:
    """Whether this process has reached such a store, so that a fork of it could not."""
    return _used_by == os.getpid()


def is_cut_off() -> bool:
    """Whether this process is a fork of one that has reached such a store."""
    return _used_by not in (0, os.getpid())


def endpoint(uri: str) -> str:
    """As ``RemoteStore``."""
    if uri.startswith("gs://"):
        return os.environ.get("GOOGLE_BASE_URL", "https://storage.googleapis.com")
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    return os.environ.get("AZURE_STORAGE_ENDPOINT", f"https://{account}.blob.core.windows.net")


def get(uri: str) -> bytes:
    """As ``RemoteStore``."""
    store, key = _at(uri)
    return bytes(store.get(key).bytes())


def get_as_listed(stored: StoredObject) -> bytes:
    """As ``RemoteStore``."""
    store, key = _at(stored.uri)
    return bytes(store.get(key, options={"if_match": f'"{stored.etag}"'}).bytes())


def get_range(uri: str, start: int, size: int) -> bytes:
    """As ``RemoteStore``."""
    store, key = _at(uri)
    return bytes(store.get_range(key, start=start, length=size))


def pinned(objects: Sequence[StoredObject]) -> list[StoredObject]:
    """As ``RemoteStore``: as they are, for obstore's listings say no versions; the ETag alone tells what is read."""
    return list(objects)


def put(uri: str, content: bytes) -> None:
    """As ``RemoteStore``."""
    store, key = _at(uri)
    store.put(key, content)


def put_new(uri: str, content: bytes) -> bool:
    """As ``RemoteStore``."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    store, key = _at(uri)
    try:
        store.put(key, content, mode="create", use_multipart=False)
    except (AlreadyExistsError, PreconditionError):
        return False
    return True


def delete(uri: str) -> None:
    """As ``RemoteStore``."""
    store, key = _at(uri)
    try:
        store.delete(key)
    except FileNotFoundError:
        return


def stat(uri: str) -> StoredObject | None:
    """As ``RemoteStore``."""
    store, key = _at(uri)
    try:
        found = store.head(key)
    except FileNotFoundError:
        return None
    return StoredObject(uri, _plain(found["e_tag"]), found["size"])


def listed(folder: str) -> Iterator[StoredObject]:
    """As ``RemoteStore``."""
    store, key = _at(folder)
    above = folder.removesuffix(key)
    found = [item for page in store.list(key.rstrip("/") or None) for item in page]
    for item in sorted(found, key=lambda item: item["path"]):
        yield StoredObject(above + item["path"], _plain(item["e_tag"]), item["size"], item["last_modified"].timestamp())


def right_below(folder: str) -> tuple[list[str], list[str]]:
    """As ``RemoteStore``."""
    store, key = _at(folder)
    found = store.list_with_delimiter(key.rstrip("/") or None)
    files = [item["path"] for item in found["objects"]]
    return [path.rpartition("/")[2] for path in found["common_prefixes"]], [path.rpartition("/")[2] for path in files]


def upload(path: Path, uri: str) -> None:
    """As ``RemoteStore``."""
    store, key = _at(uri)
    store.put(key, path)


def download(uri: str, path: Path, version: str = "") -> None:
    """As ``RemoteStore``."""
    assert not version
    store, key = _at(uri)
    with path.open("wb") as file:
        for piece in store.get(key).stream(min_chunk_size=PIECE):
            file.write(piece)


def _plain(etag: str | None) -> str:
    """Without quotes: Azure's listings leave them out."""
    return (etag or "").strip('"')
