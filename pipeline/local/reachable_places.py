"""What a run on this machine needs, tried before anything begins."""

import os
import socket
import tempfile
import urllib.parse
from pathlib import Path

from sanefit.components.foundation.errors import SettingsError, StorageError

CONNECT_SECONDS = 5.0
SERVERS, DATABASES = ("http", "https"), ("sqlite", "postgresql", "mysql", "mssql")


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
    """Raise SettingsError unless a tracking URI is one, and the host of an ``http`` one takes connections.

    MLflow itself tries for minutes before it gives up.
    """
    address = urllib.parse.urlsplit(tracking_uri)
    named, expected = (
        f"MLFLOW_TRACKING_URI={tracking_uri!r}",
        "expected http://HOST:PORT, or a database, as sqlite:///FILE",
    )
    scheme = address.scheme.partition("+")[0]
    if "//" not in tracking_uri or scheme not in (*SERVERS, *DATABASES):
        raise SettingsError(f"{named}: no address that MLflow takes; {expected}; correct the variable, or unset it")
    registry_uri = os.environ.get("MLFLOW_REGISTRY_URI", tracking_uri)
    if registry_uri != tracking_uri:
        raise SettingsError(
            f"MLFLOW_REGISTRY_URI={registry_uri!r} is another place than MLFLOW_TRACKING_URI; expected one server "
            "for runs and models; unset it"
        )
    if scheme not in SERVERS:
        return
    if address.username or address.password:
        raise SettingsError(
            f"MLFLOW_TRACKING_URI holds a user or a password for {address.hostname!r}; expected an address alone, for "
            "it is kept with the run; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    try:
        port = address.port or {"http": 80, "https": 443}[address.scheme]
        socket.create_connection((address.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"MLFLOW_TRACKING_URI={tracking_uri!r}: {error}; expected a reachable MLflow server; "
            "start it, correct the variable, or unset it to use a local store"
        ) from None
