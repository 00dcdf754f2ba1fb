"""An archive on this machine: itself, or a copy of one in an object store."""

from pathlib import Path

from sanefit.components.foundation.storage.object_store import local_cache
from sanefit.components.foundation.storage.remote_stores import StoredObject, is_remote
from sanefit.components.foundation.storage.room import require_room_for
from sanefit.components.foundation.storage.stored_objects import fetch, object_at, pinned


def local_archive(place: str) -> tuple[Path, str, list[StoredObject]]:
    """The file; what names it and its state, and the object that it is a copy of: nothing for a file of this machine.

    An object is fetched; a later listing on this machine takes the copy, as long as its ETag and size are the same.

    Raises:
        StorageError: when the object cannot be read, or there is no room for it.
    """
    if not is_remote(place):
        return Path(place), "", []
    [archive] = pinned([object_at(place)])
    require_room_for([archive], local_cache())
    return fetch(archive, local_cache()), repr(archive), [archive]
