"""The files of a registered model, and the command that answers for them over REST."""

import shlex
import sys
from pathlib import Path

import mlflow
from mlflow.pyfunc import scoring_server


def fetch_model(model_uri: str, folder: Path) -> Path:
    """Copy a model's files into a folder; where they are."""
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=model_uri, dst_path=str(folder)))


def server_command(files: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """What ``mlflow models serve --env-manager local`` runs, on 127.0.0.1: words and environment variables."""
    command, variables = scoring_server.get_cmd(str(files), port=port, nworkers=1)
    return [sys.executable, "-m", *shlex.split(command)], variables
