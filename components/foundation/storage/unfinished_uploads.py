"""Uploads to S3, in parts, that nobody finished: they take room, and no listing of objects shows them."""

from collections.abc import Iterator
from dataclasses import dataclass

from sanefit.components.foundation.storage.remote_stores import bucket_and_key
from sanefit.components.foundation.storage.s3_store import s3_client
from sanefit.components.foundation.storage.storage_failures import explained


@dataclass(frozen=True)
class UnfinishedUpload:
    """``started``: epoch seconds."""

    uri: str
    upload: str
    started: float


def unfinished_uploads(prefix: str) -> Iterator[UnfinishedUpload]:
    """Those of objects below an ``s3://`` prefix; Google's and Azure's storage removes its own.

    Raises:
        StorageError: when they cannot be listed.
    """
    if not prefix.startswith("s3://"):
        return
    bucket, key = bucket_and_key(f"{prefix.rstrip('/')}/")
    with explained("list", prefix):
        pages = list(s3_client().get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key))
    for page in pages:
        for upload in page.get("Uploads", []):
            started = upload["Initiated"].timestamp()
            yield UnfinishedUpload(f"s3://{bucket}/{upload['Key']}", upload["UploadId"], started)


def give_up(uri: str, upload: str) -> None:
    """Free what an upload takes.

    Raises:
        StorageError: when S3 refuses.
    """
    bucket, key = bucket_and_key(uri)
    with explained("remove", uri):
        s3_client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
