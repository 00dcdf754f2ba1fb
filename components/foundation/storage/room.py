"""Whether what is to be copied to this machine fits on its disk, before anything is."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.machine.environment import EPHEMERAL_STORAGE
from sanefit.components.foundation.storage.listed_files import list_tree
from sanefit.components.foundation.storage.object_store import copy_of, local_copy
from sanefit.components.foundation.storage.remote_stores import StoredObject, is_remote
from sanefit.components.foundation.storage.stored_objects import copy_of_object, stat_objects

GIB = 2**30


def local_copies(uris: Sequence[str], cache_folder: Path) -> list[Path | None]:
    """As ``local_copy``, of many files; None for those without a copy where there is no room for all of them.

    Raises:
        StorageError: when one cannot be read.
    """
    missing = {uri for uri in uris if is_remote(uri) and not copy_of(uri, cache_folder).is_file()}
    sizes = [stored.size for stored in stat_objects(missing).values()]
    kept_away = missing if missing and shortage(cache_folder, sizes, uris[0]) else set()
    return [None if uri in kept_away else local_copy(uri, cache_folder) for uri in uris]


def require_room_for(objects: Sequence[StoredObject], cache_folder: Path) -> None:
    """Raise StorageError unless those that have no copy yet fit, all together."""
    missing = [stored for stored in objects if not copy_of_object(stored, cache_folder).is_file()]
    if missing:
        require_room(cache_folder, [stored.size for stored in missing], missing[0].uri)


def require_room(folder: Path, sizes: Sequence[int], example: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raise StorageError unless files of these sizes fit; see ``shortage``."""
    if reason := shortage(folder, sizes, example, environment):
        raise StorageError(reason)


def shortage(folder: Path, sizes: Sequence[int], example: str, environment: Mapping[str, str] = os.environ) -> str:
    """Why files of these sizes do not fit on the disk of a folder, or into the pod's own limit; empty when they do.

    Args:
        folder: takes the files; it need not be there yet.
        sizes: of the files, bytes.
        example: one of them, for the error.
        environment: of this process; says what a pod's temporary folder may hold.
    """
    needed, files = sum(sizes), f"{len(sizes):,} file{'s' * (len(sizes) > 1)}"
    what = f"{files} of {_gib(needed)} in all, as {example!r}, to be copied to {str(folder)!r}"
    setting, _, limit = environment.get(EPHEMERAL_STORAGE, "").partition("=")
    temporary = Path(tempfile.gettempdir())
    if limit and folder.absolute().is_relative_to(temporary):
        used = sum(file.size for file in list_tree(str(temporary)))
        if used + needed > int(limit):
            return (
                f"{what}: {setting} is {_gib(int(limit))}, of which {_gib(used)} are used; expected room for all; set "
                f"{setting} to {-(-(used + needed) // GIB) + 1}Gi or more"
            )
    free = shutil.disk_usage(next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())).free
    if needed > free:
        return (
            f"{what}: {_gib(free)} are free there; expected room for all; make room, or set TMPDIR to a folder on a "
            "larger disk"
        )
    return ""


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
