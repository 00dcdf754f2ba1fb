"""A lock in a storage that runs share, which ends by itself when its holder has vanished.

It spares work; nothing may depend on it. Two may hold it at once: after a pause longer than the lease, or where
two break an old one together.
"""

import json
import math
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store

LEASE_SECONDS = 300.0
AGAIN_SECONDS = 2.0


@contextmanager
def held(
    uri: str,
    what: str,
    say: Say,
    *,
    seconds: float = LEASE_SECONDS,
    clock: Clock = time.time,
    sleep: Sleep = time.sleep,
) -> Iterator[None]:
    """Hold the lock, once nobody else does, or whoever does has held it for longer than the lease.

    Whoever has waited for two leases goes on without it.

    Args:
        uri: of the lock.
        what: what is waited for, in words.
        say: prints a line when it has to be waited for.
        seconds: of the lease.
        clock: epoch seconds, as the other machines have them.
        sleep: in seconds.

    Raises:
        StorageError: when the storage cannot be written.
    """
    mine, waiting, patience = uuid.uuid4().hex, False, clock() + 2 * seconds
    while not object_store.write_new(uri, json.dumps({"holder": mine, "until": clock() + seconds}).encode()):
        until = _until(uri)
        if until is None:
            continue  # given up meanwhile
        if until < clock():
            object_store.remove(uri)
            continue
        if clock() > patience:
            break
        if not waiting:
            say(f"waiting for {what}")
            waiting = True
        sleep(AGAIN_SECONDS)
    try:
        yield
    finally:
        if _holder(uri) == mine:
            object_store.remove(uri)


def _until(uri: str) -> float | None:
    """When the lease ends; long ago where the file is damaged, never where it cannot be read, None without one."""
    try:
        content = object_store.read_bytes(uri)
    except StorageError:
        return math.inf if object_store.exists(uri) else None
    try:
        return float(json.loads(content)["until"])
    except (ValueError, KeyError, TypeError):
        return 0.0


def _holder(uri: str) -> str:
    try:
        return str(json.loads(object_store.read_bytes(uri))["holder"])
    except (StorageError, ValueError, KeyError, TypeError):
        return ""
