"""Files that are kept with a run."""

import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException

from sanefit.components.foundation.tracking.connection import Client, connect, explained, store_exists
from sanefit.components.foundation.tracking.runs import find_run_of_job


def attach_file(tracking: Client, run_id: str, file: Path, folder: str) -> None:
    """Keep a file with a run, in a folder of its files."""
    tracking.log_artifact(run_id, str(file), folder)


def attach_folder(tracking: Client, run_id: str, folder: Path, name: str) -> None:
    """Keep the files of a folder with a run, in a folder of this name."""
    tracking.log_artifacts(run_id, str(folder), name)


def read_attached(tracking: Client, model_name: str, version: str, path: str) -> bytes | None:
    """A file that is kept with a version's run; None where there is none."""
    run_id = tracking.get_model_version(model_name, version).run_id
    try:
        return _attached(tracking, run_id, path) if run_id else None
    except (MlflowException, OSError):  # of a run that is deleted, or whose files are
        return None


def read_attached_of_job(tracking_uri: str, job_id: str, path: str) -> bytes | None:
    """A file that is kept with the run of an orchestrator's run; None where there is none.

    Raises:
        StorageError: when MLflow, or where it keeps files, cannot be asked from here.
    """
    if not store_exists(tracking_uri):
        return None
    with explained(tracking_uri):
        tracking = connect(tracking_uri)
        run = find_run_of_job(tracking, job_id)
        return _attached(tracking, run.info.run_id, path) if run else None


def _attached(tracking: Client, run_id: str, path: str) -> bytes | None:
    folder, _, _ = path.rpartition("/")
    if not any(file.path == path for file in tracking.list_artifacts(run_id, folder)):
        return None
    with tempfile.TemporaryDirectory(prefix="sanefit-") as target:
        return Path(tracking.download_artifacts(run_id, path, target)).read_bytes()
