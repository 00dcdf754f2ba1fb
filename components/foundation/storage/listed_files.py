"""Every file below a folder, with its size and when it was written."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.storage.remote_stores import is_remote, store_of
from sanefit.components.foundation.storage.storage_failures import explained


@dataclass(frozen=True, slots=True)
class ListedFile:
    """``path``: below the folder that was listed. ``size``: bytes. ``written``: epoch seconds."""

    path: str
    size: int
    written: float


def list_tree(uri: str) -> list[ListedFile]:
    """All files below a local folder or one in an object store, hidden ones too, by their paths; links are left out.

    Raises:
        StorageError: when it cannot be listed.
    """
    with explained("list", uri):
        found = _objects(f"{uri.rstrip('/')}/") if is_remote(uri) else _files(Path(uri))
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


def _objects(folder: str) -> Iterator[ListedFile]:
    for stored in store_of(folder).listed(folder):
        yield ListedFile(stored.uri.removeprefix(folder), stored.size, stored.written)
