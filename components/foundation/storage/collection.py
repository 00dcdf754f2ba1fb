"""Remove what can be made again from a storage that runs use meanwhile."""

import shutil
from collections.abc import Callable, Sequence

from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.disposable import Disposable
from sanefit.components.foundation.storage.last_use import REMOVING, mark_removing, unmark_removing
from sanefit.components.foundation.storage.layout import WHOLE_WITH
from sanefit.components.foundation.storage.object_store import join
from sanefit.components.foundation.storage.remote_stores import is_remote
from sanefit.components.foundation.storage.unfinished_uploads import give_up

SHARED = ("decoded images", "features")  # folders that a run may begin to use at any time
AT_ONCE = 16  # runs wait for those that are marked


def collect(found: Sequence[Disposable], find_again: Callable[[], Sequence[Disposable]]) -> list[Disposable]:
    """Remove what was found and is found again once readers are told; what came into use in between stays.

    Args:
        found: by ``find_disposable``.
        find_again: the same, now.

    Returns:
        What was removed.

    Raises:
        StorageError: when the storage cannot be written; what was removed till then is gone.
    """
    shared = [item for item in found if item.kind in SHARED]
    removed = _collect_some([item for item in found if item.kind not in SHARED], find_again)
    for start in range(0, len(shared), AT_ONCE):
        removed += _collect_some(shared[start : start + AT_ONCE], find_again)
    return removed


def _collect_some(found: Sequence[Disposable], find_again: Callable[[], Sequence[Disposable]]) -> list[Disposable]:
    if not found:
        return []
    marked = {item.uri for item in found if item.kind in SHARED}
    begun: set[str] = set()
    try:
        for uri in sorted(marked):
            mark_removing(uri)
        known = {(item.uri, item.upload) for item in found}
        again = [item for item in find_again() if (item.uri, item.upload) in known]
        for item in again:
            begun.add(item.uri)
            _remove(item)
        return again
    finally:
        for uri in sorted(marked - begun):
            unmark_removing(uri)


def _remove(item: Disposable) -> None:
    """The file without which readers take a folder for broken off goes first, the mark last."""
    if item.upload:
        give_up(item.uri, item.upload)
    elif not item.files:
        object_store.remove(item.uri)
    else:
        for path in sorted(item.files, key=lambda path: (path == REMOVING, path not in WHOLE_WITH)):
            object_store.remove(join(item.uri, path))
        if not is_remote(item.uri):
            shutil.rmtree(item.uri, ignore_errors=True)  # empty folders
