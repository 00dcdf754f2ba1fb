"""A local store that another process has locked is waited for, and whoever has it open is named."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

import psutil

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import LOCAL

PATIENCE_SECONDS, AGAIN_SECONDS = 300.0, 1.0


def wait_until_unlocked(
    tracking_uri: str,
    say: Say,
    *,
    patience: float = PATIENCE_SECONDS,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> None:
    """Return as soon as the store can be written; at once where it is no SQLite file.

    Args:
        tracking_uri: of MLflow.
        say: prints a line when it has to be waited for.
        patience: in seconds.
        clock, sleep: in seconds.

    Raises:
        StorageError: when it stays locked.
    """
    database = Path(tracking_uri.removeprefix(LOCAL))
    if not tracking_uri.startswith(LOCAL) or not database.exists():
        return
    until, waiting = clock() + patience, False
    while _is_locked(database):
        if clock() >= until:
            raise StorageError(
                f"MLflow's store {str(database)!r} has been locked for {patience:.0f} s by another process"
                f"{_who_has_it_open(database)}; expected one that can be written; end that process, or let it finish"
            )
        if not waiting:
            say(
                f"waiting for MLflow's store {str(database)!r}, which another process has locked"
                f"{_who_has_it_open(database)}"
            )
            waiting = True
        sleep(AGAIN_SECONDS)


def _is_locked(database: Path) -> bool:
    with contextlib.closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            return "locked" in str(error)  # else it says what is wrong when it is used
        except sqlite3.DatabaseError:
            return False
    return False


def _who_has_it_open(database: Path) -> str:
    """As in `` (open in process 123, python)``; empty where that cannot be seen."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(file.path == str(database) for file in process.open_files()):
                found.append(f"process {process.pid}, {process.name()}")
    return f" (open in {'; '.join(found)})" if found else ""
