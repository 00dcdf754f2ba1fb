"""Files that are kept with a run."""

import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException

from sanefit.components.foundation.tracking.connection import Client


def attach_file(tracking: Client, run_id: str, file: Path, folder: str) -> None:
    """Keep a file with a run, in a folder of its files."""
    tracking.log_artifact(run_id, str(file), folder)


def attach_folder(tracking: Client, run_id: str, folder: Path, name: str) -> None:
    """Keep the files of a folder with a run, in a folder of this name."""
    tracking.log_artifacts(run_id, str(folder), name)


def read_attached(tracking: Client, model_name: str, version: str, path: str) -> bytes | None:
    """A file that is kept with a version's run; None where there is none."""
    run_id = tracking.get_model_version(model_name, version).run_id
    if not run_id:
        return None
    folder, _, _ = path.rpartition("/")
    try:
        if not any(file.path == path for file in tracking.list_artifacts(run_id, folder)):
            return None
        with tempfile.TemporaryDirectory(prefix="sanefit-") as target:
            return Path(tracking.download_artifacts(run_id, path, target)).read_bytes()
    except (MlflowException, OSError):  # of a run that is deleted, or whose files are
        return None
