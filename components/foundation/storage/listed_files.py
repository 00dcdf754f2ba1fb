"""Every file below a folder, with its size and when it was written."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.storage.object_store import is_s3
from sanefit.components.foundation.storage.s3_client import bucket_and_key, s3_client
from sanefit.components.foundation.storage.storage_failures import explained


@dataclass(frozen=True, slots=True)
class ListedFile:
    """``path``: below the folder that was listed. ``size``: bytes. ``written``: epoch seconds."""

    path: str
    size: int
    written: float


def list_tree(uri: str) -> list[ListedFile]:
    """All files below a local or ``s3://`` folder, hidden ones too, by their paths; links are not followed.

    Raises:
        StorageError: when it cannot be listed.
    """
    with explained("list", uri):
        found = _objects(uri) if is_s3(uri) else _files(Path(uri))
        return sorted(found, key=lambda file: file.path)


def grouped(files: Iterable[ListedFile], depth: int) -> dict[str, list[ListedFile]]:
    """Files by the first ``depth`` folders of their paths; those that lie higher are left out."""
    groups: dict[str, list[ListedFile]] = {}
    for file in files:
        folders = file.path.split("/")[:-1]
        if len(folders) >= depth:
            groups.setdefault("/".join(folders[:depth]), []).append(file)
    return groups


def _files(folder: Path) -> Iterator[ListedFile]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            try:
                status = path.lstat()
            except FileNotFoundError:  # gone meanwhile
                continue
            yield ListedFile(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime)


def _objects(uri: str) -> Iterator[ListedFile]:
    bucket, key = bucket_and_key(f"{uri.rstrip('/')}/")
    for page in s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        for item in page.get("Contents", []):
            if not item["Key"].endswith("/"):
                yield ListedFile(item["Key"].removeprefix(key), item["Size"], item["LastModified"].timestamp())
