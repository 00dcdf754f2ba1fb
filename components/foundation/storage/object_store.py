"""Files by URI: a local path, or an object in a store, as in ``s3://bucket/key``."""

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from sanefit.components.foundation.storage.remote_stores import bucket_and_key, is_remote, store_of
from sanefit.components.foundation.storage.storage_failures import explained


def join(uri: str, *parts: str) -> str:
    """``uri`` with ``parts`` appended, separated by slashes."""
    return "/".join([uri.rstrip("/"), *parts])


def read_bytes(uri: str) -> bytes:
    """The content at ``uri``.

    Raises:
        StorageError: when there is nothing, or it cannot be read.
    """
    with explained("read", uri):
        return store_of(uri).get(uri) if is_remote(uri) else Path(uri).read_bytes()


def write_bytes(uri: str, content: bytes) -> None:
    """Write ``content`` to ``uri``; a reader sees all of it or nothing.

    Raises:
        StorageError: when it cannot be written.
    """
    with explained("write", uri):
        if is_remote(uri):
            store_of(uri).put(uri, content)
        else:
            _write_aside_then_rename(Path(uri), content)


def write_new(uri: str, content: bytes) -> bool:
    """Write ``content`` to ``uri`` unless there is something, which no other writer can come between; whether it did.

    Raises:
        StorageError: when it cannot be written.
    """
    with explained("write", uri):
        return store_of(uri).put_new(uri, content) if is_remote(uri) else _link_unless_there(Path(uri), content)


def remove(uri: str) -> None:
    """Delete what is at ``uri``, if there is anything.

    Raises:
        StorageError: when it cannot be deleted.
    """
    with explained("remove", uri):
        if is_remote(uri):
            store_of(uri).delete(uri)
        else:
            Path(uri).unlink(missing_ok=True)


def exists(uri: str) -> bool:
    """Whether there is a file or object at ``uri``.

    Raises:
        StorageError: when the store cannot be asked.
    """
    if not is_remote(uri):
        return Path(uri).is_file()
    with explained("read", uri):
        return store_of(uri).stat(uri) is not None


def upload_file(path: Path, uri: str) -> None:
    """Copy a local file to an object, in parts when it is large.

    Raises:
        StorageError: when it cannot be written.
    """
    with explained("write", uri):
        store_of(uri).upload(path, uri)


def move_file(path: Path, uri: str) -> None:
    """Put a local file where ``uri`` says, whole or not at all; it is gone from where it was, or may be.

    Raises:
        StorageError: when it cannot be written.
    """
    if is_remote(uri):
        upload_file(path, uri)
        return
    with explained("write", uri), _aside(Path(uri)) as aside:
        shutil.move(path, aside)
        aside.replace(uri)


def local_cache() -> Path:
    """The folder of this machine for copies of what lies in object stores."""
    return Path(tempfile.gettempdir()) / "sanefit-cache"


def copy_of(uri: str, cache_folder: Path) -> Path:
    """Where ``local_copy`` puts what lies in S3."""
    bucket, key = bucket_and_key(uri)
    return cache_folder / bucket / key


def used_copy(copy: Path) -> bool:
    """Whether there is a copy of what lies in S3; if so, it is read now: file systems do not always note that."""
    try:
        written = copy.stat().st_mtime
    except OSError:
        return False
    with contextlib.suppress(OSError):  # somebody else's file
        os.utime(copy, (time.time(), written))
    return copy.is_file()


def local_copy(uri: str, cache_folder: Path) -> Path:
    """A local path with the content of ``uri``: itself when local, else downloaded once.

    Raises:
        StorageError: when it cannot be read.
    """
    if not is_remote(uri):
        return Path(uri)
    copy = copy_of(uri, cache_folder)
    if not used_copy(copy):
        with explained("read", uri), _aside(copy) as aside:
            store_of(uri).download(uri, aside)
            aside.replace(copy)
    return copy


def list_folders(uri: str) -> list[str]:
    """The names of the folders right below a local folder or one in a store, sorted; hidden ones are left out.

    Raises:
        StorageError: when it cannot be listed.
    """
    return _listed(uri)[0]


def list_files(uri: str) -> list[str]:
    """The names of the files right below a local folder or one in a store, sorted; hidden ones are left out.

    Raises:
        StorageError: when it cannot be listed.
    """
    return _listed(uri)[1]


def _listed(uri: str) -> tuple[list[str], list[str]]:
    """Folders and files."""
    with explained("list", uri):
        if is_remote(uri):
            folders, files = store_of(uri).right_below(uri.rstrip("/") + "/")
        else:
            below = list(Path(uri).iterdir()) if Path(uri).is_dir() else []
            folders = [path.name for path in below if path.is_dir()]
            files = [path.name for path in below if path.is_file()]
    folders, files = (sorted(name for name in names if name and name[0] != ".") for names in (folders, files))
    return folders, files


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A place beside a path for what is not whole yet; nothing is there afterwards. Its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # opened as any file: the umask says who may read it
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _link_unless_there(path: Path, content: bytes) -> bool:
    with _aside(path) as aside:
        aside.write_bytes(content)
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            return False
    return True


def _write_aside_then_rename(path: Path, content: bytes) -> None:
    with _aside(path) as aside:
        aside.write_bytes(content)
        aside.replace(path)
