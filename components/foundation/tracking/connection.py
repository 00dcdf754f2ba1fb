"""The client of an MLflow server or store."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from sanefit.components.foundation.tracking.connected import note_connection

Client = MlflowClient
LOCAL = "sqlite:///"


def connect(tracking_uri: str) -> Client:
    """A client of the tracking server or store; model loading uses the same one."""
    note_connection()
    mlflow.set_tracking_uri(tracking_uri)
    # Whatever the environment says: what a thread fails to write would be lost, and its run closed as complete.
    mlflow.config.enable_async_logging(False)  # type: ignore[no-untyped-call]
    if tracking_uri.startswith(LOCAL):
        with _one_at_a_time(Path(tracking_uri.removeprefix(LOCAL))):
            return MlflowClient(tracking_uri)
    return MlflowClient(tracking_uri)


def mlflow_version() -> str:
    """Of the client, which may be all that is installed of MLflow."""
    return str(mlflow.__version__)


@contextlib.contextmanager
def _one_at_a_time(database: Path) -> Iterator[None]:
    """Let one process make a local store's tables while others wait: MLflow's migrations fail side by side."""
    lock = database.with_name(f"{database.name}.lock")
    if database.exists() and not lock.exists():
        yield  # made before, by another program or an earlier version
        return
    with lock.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def store_exists(tracking_uri: str) -> bool:
    """False for a local SQLite store whose file is missing: asking it anything would create it."""
    return not tracking_uri.startswith(LOCAL) or Path(tracking_uri.removeprefix(LOCAL)).exists()
