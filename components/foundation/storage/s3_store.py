"""S3, by boto3. The endpoint and credentials come from its usual chain (``AWS_ENDPOINT_URL``, …)."""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanefit.components.foundation.storage.remote_stores import (
    ATTEMPTS,
    StoredObject,
    bucket_and_key,
    outermost_folders,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONNECTIONS = 64
# Who reads a bucket whose owner does not pay for it says "requester" here, as GDAL's users do.
PAYER = "AWS_REQUEST_PAYER"
READING = ("ListObjectsV2", "ListObjectVersions", "GetObject", "HeadObject")
TAKEN = (409, 412)  # what S3 answers where there is an object, or another writer of it


@functools.cache
def s3_client() -> "S3Client":
    """One for the whole process."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS}, max_pool_connections=CONNECTIONS)
    client = boto3.client("s3", config=config)
    if payer := os.environ.get(PAYER):
        for operation in READING:
            client.meta.events.register(f"before-parameter-build.s3.{operation}", functools.partial(_paid_by, payer))
    return client


def _paid_by(payer: str, params: dict[str, object], **_: object) -> None:
    params["RequestPayer"] = payer


os.register_at_fork(after_in_child=s3_client.cache_clear)  # a connection serves one process


def endpoint(_uri: str) -> str:
    """As ``RemoteStore``."""
    return str(s3_client().meta.endpoint_url)


def get(uri: str) -> bytes:
    """As ``RemoteStore``."""
    bucket, key = bucket_and_key(uri)
    return s3_client().get_object(Bucket=bucket, Key=key)["Body"].read()


def get_as_listed(stored: StoredObject) -> bytes:
    """As ``RemoteStore``; what breaks off is read again."""
    return _read(stored.uri, IfMatch=stored.etag, **_of_version(stored.version))


def get_range(uri: str, start: int, size: int) -> bytes:
    """As ``RemoteStore``; what breaks off is read again."""
    return _read(uri, Range=f"bytes={start}-{start + size - 1}")


def _read(uri: str, **which: Any) -> bytes:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    bucket, key = bucket_and_key(uri)
    for attempt in range(ATTEMPTS):
        try:
            return s3_client().get_object(Bucket=bucket, Key=key, **which)["Body"].read()
        except (HTTPClientError, IncompleteReadError):
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def pinned(objects: Sequence[StoredObject]) -> list[StoredObject]:
    """As ``RemoteStore``: asks for the versions of the folders that they lie in, where their bucket keeps any."""
    buckets = {bucket_and_key(stored.uri)[0] for stored in objects}
    versioned = {bucket for bucket in buckets if _keeps_versions(bucket)}
    version_of: dict[tuple[str, str], str] = {}
    for folder in outermost_folders(stored.uri for stored in objects):
        if bucket_and_key(folder)[0] in versioned:
            version_of |= _latest_versions(folder)
    return [replace(stored, version=version_of.get((stored.uri, stored.etag), "")) for stored in objects]


def _keeps_versions(bucket: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        return s3_client().get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"
    except ClientError:  # who may read objects may not be allowed to ask, or the server does not know the question
        return False


def _latest_versions(folder: str) -> dict[tuple[str, str], str]:
    """By URI and ETag; empty where they may not be listed, or read: that takes further rights than objects do."""
    from botocore.exceptions import ClientError

    bucket, key = bucket_and_key(folder)
    try:
        found = [
            version
            for page in s3_client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
            for version in page.get("Versions", [])
            if version["IsLatest"]
        ]
        for one in found[:1]:
            s3_client().head_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    except ClientError:
        return {}
    return {(f"s3://{bucket}/{one['Key']}", one["ETag"]): one["VersionId"] for one in found}


def _of_version(version: str) -> dict[str, Any]:
    return {"VersionId": version} if version else {}


def put(uri: str, content: bytes) -> None:
    """As ``RemoteStore``."""
    bucket, key = bucket_and_key(uri)
    s3_client().put_object(Bucket=bucket, Key=key, Body=content)


def put_new(uri: str, content: bytes) -> bool:
    """As ``RemoteStore``."""
    bucket, key = bucket_and_key(uri)
    try:
        s3_client().put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
    except Exception as error:
        if getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode") in TAKEN:
            return False
        raise
    return True


def delete(uri: str) -> None:
    """As ``RemoteStore``."""
    bucket, key = bucket_and_key(uri)
    s3_client().delete_object(Bucket=bucket, Key=key)


def stat(uri: str) -> StoredObject | None:
    """As ``RemoteStore``; a listing says less than a request for the object's head where credentials are few."""
    bucket, key = bucket_and_key(uri)
    found = s3_client().list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return next((StoredObject(uri, item["ETag"], item["Size"]) for item in found if item["Key"] == key), None)


def listed(folder: str) -> Iterator[StoredObject]:
    """As ``RemoteStore``; folders' placeholders are left out."""
    bucket, key = bucket_and_key(folder)
    for page in s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        for item in page.get("Contents", []):
            if not item["Key"].endswith("/"):
                uri, written = f"s3://{bucket}/{item['Key']}", item["LastModified"].timestamp()
                yield StoredObject(uri, item["ETag"], item["Size"], written)


def right_below(folder: str) -> tuple[list[str], list[str]]:
    """As ``RemoteStore``."""
    bucket, key = bucket_and_key(folder)
    pages = list(s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key, Delimiter="/"))
    prefixes = [prefix["Prefix"] for page in pages for prefix in page.get("CommonPrefixes", [])]
    files = [found["Key"].rpartition("/")[2] for page in pages for found in page.get("Contents", [])]
    return [prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes], files


def upload(path: Path, uri: str) -> None:
    """As ``RemoteStore``."""
    bucket, key = bucket_and_key(uri)
    s3_client().upload_file(str(path), bucket, key)


def download(uri: str, path: Path, version: str = "") -> None:
    """As ``RemoteStore``; what breaks off is read again."""
    bucket, key = bucket_and_key(uri)
    with path.open("wb") as file:
        s3_client().download_fileobj(bucket, key, file, ExtraArgs=_of_version(version))
