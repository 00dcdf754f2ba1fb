"""What a run on this machine needs, tried before anything begins."""

import socket
import tempfile
import urllib.parse
from pathlib import Path

from sanefit.components.foundation.errors import SettingsError, StorageError

CONNECT_SECONDS = 5.0


def require_writable(workdir: Path) -> None:
    """Raise StorageError unless files can be written in the work directory, or where it will be created."""
    existing = next(folder for folder in (workdir, *workdir.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise StorageError(
            f"--workdir {str(workdir)!r}: {error.strerror}; expected a folder that can be written; choose another"
        ) from None


def require_reachable(tracking_uri: str) -> None:
    """Raise SettingsError unless the host of an ``http`` tracking URI takes connections.

    MLflow itself tries for minutes before it gives up.
    """
    address = urllib.parse.urlsplit(tracking_uri)
    if address.scheme not in ("http", "https"):
        return
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"MLFLOW_TRACKING_URI={tracking_uri!r}: {error}; expected a reachable MLflow server; "
            "start it, correct the variable, or unset it to use a local store"
        ) from None
