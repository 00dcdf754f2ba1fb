"""When a folder of a storage was last used, and whether it is being removed: a file in it says each.

A file works alike in a folder and in S3, where nothing can be touched. Whoever removes a folder writes ``removing``
first and looks for a last use after that; whoever uses one writes ``last-use`` first and looks for ``removing`` after
that. So one of the two sees the other, whichever comes first.
"""

import contextlib
import time

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store

LAST_USE = "last-use"
REMOVING = "removing"
PATIENCE_SECONDS = 300.0  # with whoever removes: it marks few folders at a time
AGAIN_SECONDS = 0.5


def mark_used(folder: str) -> None:
    """Say that a folder is used now; one that cannot be written is as old as its files."""
    with contextlib.suppress(StorageError):
        object_store.write_bytes(object_store.join(folder, LAST_USE), b"")


def mark_removing(folder: str) -> None:
    """Say that a folder is being removed.

    Raises:
        StorageError: when it cannot be written.
    """
    object_store.write_bytes(object_store.join(folder, REMOVING), b"")


def unmark_removing(folder: str) -> None:
    """Say that it stays.

    Raises:
        StorageError: when it cannot be written.
    """
    object_store.remove(object_store.join(folder, REMOVING))


def wait_until_settled(folder: str, clock: Clock = time.monotonic, sleep: Sleep = time.sleep) -> None:
    """Return once a folder is gone, or stays. The mark of somebody who was killed is removed in the end.

    Args:
        folder: a local or ``s3://`` one.
        clock, sleep: in seconds.

    Raises:
        StorageError: when the storage cannot be read.
    """
    end = clock() + PATIENCE_SECONDS
    while object_store.exists(object_store.join(folder, REMOVING)):
        if clock() > end:
            unmark_removing(folder)
        sleep(AGAIN_SECONDS)
