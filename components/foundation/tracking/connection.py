"""The client of an MLflow server or store."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from sanefit.components.foundation.errors import StorageError, first_line
from sanefit.components.foundation.machine.environment import variables_set
from sanefit.components.foundation.tracking.connected import note_connection

Client = MlflowClient
LOCAL = "sqlite:///"
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
TIMEOUT_SECONDS = "30"
OTHER_TABLES = "out-of-date database schema"


def connect(tracking_uri: str) -> Client:
    """A client of the tracking server or store; model loading uses the same one.

    Raises:
        StorageError: when a store cannot be opened, or its tables are those of another version of MLflow.
    """
    note_connection()
    mlflow.set_tracking_uri(tracking_uri)
    # Whatever the environment says: what a thread fails to write would be lost, and its run closed as complete.
    mlflow.config.enable_async_logging(False)  # type: ignore[no-untyped-call]
    local = tracking_uri.startswith(LOCAL)
    with _one_at_a_time(Path(tracking_uri.removeprefix(LOCAL))) if local else contextlib.nullcontext():
        try:
            return MlflowClient(tracking_uri)
        except (MlflowException, SQLAlchemyError) as error:
            raise _not_opened(tracking_uri, error) from error


def _not_opened(tracking_uri: str, error: Exception) -> StorageError:
    reason = first_line(error)
    store = f"MLflow's store {tracking_uri!r}"
    if OTHER_TABLES in reason:
        return StorageError(
            f"{store} has the tables of another version of MLflow ({reason.partition('. ')[0]}); expected those of "
            f"MLflow {mlflow.__version__}; install the version that wrote it, or, after a backup, `mlflow db upgrade "
            f"{tracking_uri}`"
        )
    return StorageError(f"{store} cannot be opened: {reason}; expected one that can be read and written; check it")


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


@contextlib.contextmanager
def explained(tracking_uri: str) -> Iterator[None]:
    """Whoever looks on from outside a run is told in one line why MLflow cannot be asked.

    Raises:
        StorageError: for any error of whichever store it is: an HTTP client's, a database's, S3's.
    """
    try:
        yield
    except Exception as error:
        raise StorageError(f"MLflow at {tracking_uri!r} cannot be asked: {first_line(error)}") from error


def store_exists(tracking_uri: str) -> bool:
    """False for a local SQLite store whose file is missing: asking it anything would create it."""
    return not tracking_uri.startswith(LOCAL) or Path(tracking_uri.removeprefix(LOCAL)).exists()


@contextlib.contextmanager
def asking_once() -> Iterator[None]:
    """Whoever asks a server in here decides whether to ask again: MLflow's own client would, for minutes."""
    with variables_set({RETRIES: "0", TIMEOUT: os.environ.get(TIMEOUT, TIMEOUT_SECONDS)}):
        yield
