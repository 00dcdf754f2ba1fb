"""Folders that appear whole, or not at all, and one that vanishes."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.remote_stores import is_remote


def published(folder_uri: str, last_file: str, *, in_place_of_another: bool = False) -> AbstractContextManager[Path]:
    """A local folder whose files are those of ``folder_uri`` when the body succeeds; it vanishes when the body fails.

    Args:
        folder_uri: a local folder, or one in an object store.
        last_file: the file without which there is no such folder, for readers.
        in_place_of_another: its files take the place of those that are there, each at once, ``last_file`` last;
            otherwise whoever published the folder first is right.

    Raises:
        StorageError: when it cannot be written.
    """
    if is_remote(folder_uri):
        return _remote_folder(folder_uri, last_file)
    return _local_folder(folder_uri, last_file, in_place_of_another)


@contextmanager
def _remote_folder(folder_uri: str, last_file: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        for path in _in_order(Path(temporary), last_file):
            object_store.upload_file(path, object_store.join(folder_uri, path.name))


@contextmanager
def _local_folder(folder_uri: str, last_file: str, in_place_of_another: bool) -> Iterator[Path]:
    final = Path(folder_uri)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".partial-", ignore_cleanup_errors=True) as partial:
            inside = Path(partial) / "inside"
            inside.mkdir()
            yield inside
            if in_place_of_another and (final / last_file).is_file():
                for path in _in_order(inside, last_file):
                    path.replace(final / path.name)
            else:
                _rename_unless_published(inside, final, last_file)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder_uri!r}: {error.strerror}; expected room in a writable work directory; set --workdir"
        ) from error


def _in_order(folder: Path, last_file: str) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.name == last_file)


def _rename_unless_published(folder: Path, final: Path, last_file: str) -> None:
    if final.exists() and not (final / last_file).is_file():  # somebody's leftovers
        shutil.rmtree(final)
    try:
        folder.rename(final)
    except OSError:
        if not (final / last_file).is_file():  # else another run published the same first
            raise


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what is on its way, which vanishes in the end.

    Raises:
        StorageError: when it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="sanefit-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write {tempfile.gettempdir()!r}: {error.strerror}; expected room for images on their way; "
            "make room, or set TMPDIR"
        ) from error
