"""The connection to S3.

The endpoint and credentials come from boto3's usual chain (``AWS_ENDPOINT_URL``, …).
"""

import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

ATTEMPTS = 5
CONNECTIONS = 64


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The two parts of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def endpoint() -> str:
    """The URL of the S3 server."""
    return str(s3_client().meta.endpoint_url)


@functools.cache
def s3_client() -> "S3Client":
    """One for the whole process."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS}, max_pool_connections=CONNECTIONS)
    return boto3.client("s3", config=config)


os.register_at_fork(after_in_child=s3_client.cache_clear)  # a connection serves one process
