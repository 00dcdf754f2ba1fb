"""The client of an MLflow server or store."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient

from sanefit.components.foundation.tracking.connected import note_connection

Client = MlflowClient


def connect(tracking_uri: str) -> Client:
    """A client of the tracking server or store; model loading uses the same one."""
    note_connection()
    mlflow.set_tracking_uri(tracking_uri)
    # Whatever the environment says: what a thread fails to write would be lost, and its run closed as complete.
    mlflow.config.enable_async_logging(False)  # type: ignore[no-untyped-call]
    return MlflowClient(tracking_uri)


def store_exists(tracking_uri: str) -> bool:
    """False for a local SQLite store whose file is missing: asking it anything would create it."""
    return not tracking_uri.startswith("sqlite:///") or Path(tracking_uri.removeprefix("sqlite:///")).exists()
