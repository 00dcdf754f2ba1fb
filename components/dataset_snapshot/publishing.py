"""A snapshot's folder appears whole, or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.foundation import object_store
from components.foundation.errors import StorageError
from components.foundation.image_dataset.shards import MANIFEST_FILE


@contextmanager
def s3_folder(folder_uri: str) -> Iterator[Path]:
    """A local folder whose files go to ``folder_uri`` when the body succeeds."""
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        files = sorted(Path(temporary).iterdir(), key=lambda path: path.name == MANIFEST_FILE)
        for path in files:  # the manifest last: a reader finds a whole snapshot or none
            object_store.upload_file(path, object_store.join(folder_uri, path.name))


@contextmanager
def local_folder(folder_uri: str) -> Iterator[Path]:
    """A folder that becomes ``folder_uri`` when the body succeeds, and vanishes when it fails."""
    final = Path(folder_uri)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=".partial-", ignore_cleanup_errors=True) as partial:
            inside = Path(partial) / "snapshot"
            inside.mkdir()
            yield inside
            _rename_unless_published(inside, final)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder_uri!r}: {error.strerror}; expected room in a writable work directory; set --workdir"
        ) from error


def _rename_unless_published(folder: Path, final: Path) -> None:
    if final.exists() and not (final / MANIFEST_FILE).is_file():  # somebody's leftovers
        shutil.rmtree(final)
    try:
        folder.rename(final)
    except OSError:
        if not (final / MANIFEST_FILE).is_file():  # else another run published the same images first
            raise
