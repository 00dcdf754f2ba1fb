"""Files by URI: a local path or ``s3://bucket/key``. The only user of boto3.

The S3 endpoint and credentials come from boto3's usual chain (``AWS_ENDPOINT_URL``, …).
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sanefit.components.foundation.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


ATTEMPTS = 5
LARGE = 8 * 2**20  # bytes; larger objects are read in parallel ranges
CONNECTIONS = 64


def is_s3(uri: str) -> bool:
    """Whether ``uri`` names an object in S3 rather than a local path."""
    return uri.startswith("s3://")


def join(uri: str, *parts: str) -> str:
    """``uri`` with ``parts`` appended, separated by slashes."""
    return "/".join([uri.rstrip("/"), *parts])


def read_bytes(uri: str) -> bytes:
    """The content at ``uri``.

    Raises:
        StorageError: when there is nothing, or it cannot be read.
    """
    with _explained("read", uri):
        if not is_s3(uri):
            return Path(uri).read_bytes()
        bucket, key = _bucket_and_key(uri)
        return _s3().get_object(Bucket=bucket, Key=key)["Body"].read()


def write_bytes(uri: str, content: bytes) -> None:
    """Write ``content`` to ``uri``; a reader sees all of it or nothing.

    Raises:
        StorageError: when it cannot be written.
    """
    with _explained("write", uri):
        if is_s3(uri):
            bucket, key = _bucket_and_key(uri)
            _s3().put_object(Bucket=bucket, Key=key, Body=content)
        else:
            _write_aside_then_rename(Path(uri), content)


def remove(uri: str) -> None:
    """Delete what is at ``uri``, if there is anything.

    Raises:
        StorageError: when it cannot be deleted.
    """
    with _explained("remove", uri):
        if is_s3(uri):
            bucket, key = _bucket_and_key(uri)
            _s3().delete_object(Bucket=bucket, Key=key)
        else:
            Path(uri).unlink(missing_ok=True)


def exists(uri: str) -> bool:
    """Whether there is a file or object at ``uri``.

    Raises:
        StorageError: when the bucket cannot be asked.
    """
    if not is_s3(uri):
        return Path(uri).is_file()
    bucket, key = _bucket_and_key(uri)
    with _explained("read", uri):
        found = _s3().list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return any(item["Key"] == key for item in found)


def upload_file(path: Path, uri: str) -> None:
    """Copy a local file to an S3 object, in parts when it is large.

    Raises:
        StorageError: when it cannot be written.
    """
    bucket, key = _bucket_and_key(uri)
    with _explained("write", uri):
        _s3().upload_file(str(path), bucket, key)


def local_copy(uri: str, cache_folder: Path) -> Path:
    """A local path with the content of ``uri``: itself when local, else downloaded once.

    Raises:
        StorageError: when it cannot be read.
    """
    if not is_s3(uri):
        return Path(uri)
    bucket, key = _bucket_and_key(uri)
    copy = cache_folder / bucket / key
    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f"{copy.name}.{os.getpid()}.partial")
        with _explained("read", uri):
            _s3().download_file(bucket, key, str(partial))
            partial.replace(copy)
    return copy


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
    bucket, key = _bucket_and_key(prefix)
    with _explained("list", prefix):
        pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        listed = [item for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    found = [StoredObject(f"s3://{bucket}/{item['Key']}", item["ETag"], item["Size"]) for item in listed]
    if not exactly:
        return found
    same = [stored for stored in found if stored.uri == prefix]
    if not same:
        raise _storage_error("read", prefix, "there is no such object")
    return same


def list_folders(uri: str) -> list[str]:
    """The names of the folders right below a local or ``s3://`` folder, sorted; hidden ones are left out.

    Raises:
        StorageError: when it cannot be listed.
    """
    with _explained("list", uri):
        if not is_s3(uri):
            below = Path(uri).iterdir() if Path(uri).is_dir() else []
            names = [path.name for path in below if path.is_dir()]
        else:
            bucket, key = _bucket_and_key(uri)
            pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/", Delimiter="/")
            found = [prefix["Prefix"] for page in pages for prefix in page.get("CommonPrefixes", [])]
            names = [prefix.rstrip("/").rpartition("/")[2] for prefix in found]
    return sorted(name for name in names if not name.startswith("."))


def fetch(stored: StoredObject, cache_folder: Path) -> Path:
    """A local copy of an object, named by its URI, ETag and size: fetched once as long as these are the same.

    Large objects are read in parallel ranges; what breaks off is read again.

    Raises:
        StorageError: when it cannot be read, or is not what was listed.
    """
    name = hashlib.sha256(f"{endpoint()} {stored.uri} {stored.etag} {stored.size}".encode()).hexdigest()
    copy = cache_folder / "objects" / name[:2] / name
    if copy.is_file():
        return copy
    bucket, key = _bucket_and_key(stored.uri)
    with _explained("read", stored.uri):
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=copy.parent, prefix=".partial-", delete=False) as aside:
            partial = Path(aside.name)
            try:
                _s3().download_fileobj(bucket, key, aside)
                aside.flush()
                seen = partial.stat().st_size
                if seen != stored.size:
                    raise _storage_error("read", stored.uri, f"{seen} bytes, {stored.size} were listed: it changed")
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
    bucket, key = _bucket_and_key(stored.uri)
    with _explained("read", stored.uri):
        for attempt in range(ATTEMPTS):
            try:
                return _s3().get_object(Bucket=bucket, Key=key, IfMatch=stored.etag)["Body"].read()
            except (HTTPClientError, IncompleteReadError):
                if attempt == ATTEMPTS - 1:
                    raise
    raise AssertionError("the last attempt returns or raises")


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


def endpoint() -> str:
    """The URL of the S3 server."""
    return str(_s3().meta.endpoint_url)


def _write_aside_then_rename(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as aside:
        try:
            aside.write(content)
            aside.flush()
            Path(aside.name).chmod(0o644)
            Path(aside.name).replace(path)
        except BaseException:
            Path(aside.name).unlink()
            raise


@contextmanager
def _explained(action: str, uri: str) -> Iterator[None]:
    """Turn what boto3 and the operating system raise into one line."""
    try:
        yield
    except OSError as error:
        raise _storage_error(action, uri, error.strerror or str(error)) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("boto3", "botocore", "s3transfer"):
            raise
        raise _storage_error(action, uri, " ".join(str(error).split())) from error


def _storage_error(action: str, uri: str, reason: str) -> StorageError:
    return StorageError(f"cannot {action} {uri!r}: {reason}; expected storage that can be read and written; check it")


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@functools.cache
def _s3() -> "S3Client":
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS}, max_pool_connections=CONNECTIONS)
    return boto3.client("s3", config=config)


os.register_at_fork(after_in_child=_s3.cache_clear)  # a connection serves one process
