"""A registered version by its URI, and one digest of all its files."""

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from sanefit.components.foundation.errors import SettingsError, StorageError, first_line
from sanefit.components.foundation.tracking.connection import Client

MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))")
# What MLflow and Python write beside a model when they load it from a store on this machine.
WRITTEN_ON_LOADING = "registered_model_meta"
BYTE_CODE = "__pycache__"


@dataclass(frozen=True)
class RegisteredVersion:
    """``run_id``: of the MLflow run that registered it; empty without one."""

    model_name: str
    version: str
    run_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class VersionFiles:
    """``digest``: SHA-256, in hex. ``byte_code``: how many files of compiled Python there are, which it leaves out."""

    digest: str
    byte_code: int


def find_version(tracking: Client, model_uri: str) -> RegisteredVersion:
    """The version that a URI names now.

    Args:
        tracking: a client.
        model_uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.

    Raises:
        SettingsError: when it names none.
    """
    parts = MODEL_URI.fullmatch(model_uri)
    if parts is None:
        raise SettingsError(
            f"{model_uri!r} names no model; expected models:/NAME@champion, or models:/NAME/3; correct it"
        )
    try:
        if parts["alias"]:
            found = tracking.get_model_version_by_alias(parts["name"], parts["alias"])
        else:
            found = tracking.get_model_version(parts["name"], parts["version"])
    except MlflowException as error:
        raise SettingsError(
            f"{model_uri!r}: {first_line(error)}; expected a registered version; `sanefit registry show` lists them"
        ) from None
    return RegisteredVersion(str(found.name), str(found.version), found.run_id or "", found.tags)


def digest_version_files(tracking: Client, model_name: str, version: str) -> VersionFiles:
    """Fetch a version's files, and digest the lines that ``sha256sum`` prints for them.

    One line for each file, its SHA-256, two spaces and its path below the model's folder, sorted by path.

    Raises:
        StorageError: when they cannot be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="sanefit-") as target:
        try:
            uri = tracking.get_model_version_download_uri(model_name, version)
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=target))
        except Exception as error:  # of whichever artifact store it is
            raise StorageError(
                f"cannot read the files of version {version} of {model_name!r}: {first_line(error)}; expected them in "
                "MLflow's artifact store; check it"
            ) from error
        return _digested(folder)


def _digested(folder: Path) -> VersionFiles:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    byte_code = [name for name in paths if BYTE_CODE in name.split("/")[:-1]]
    covered = sorted(paths.keys() - {WRITTEN_ON_LOADING, *byte_code}, key=str.encode)
    lines = hashlib.sha256()
    for name in covered:
        with paths[name].open("rb") as opened:
            lines.update(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {name}\n".encode())
    return VersionFiles(lines.hexdigest(), len(byte_code))
