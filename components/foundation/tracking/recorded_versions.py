"""What is on record of a version: its own tags, its run's settings, and what its files say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.finished_runs import identity_parts
from sanefit.components.foundation.tracking.models import model_metadata
from sanefit.components.foundation.tracking.tags import PARENT_TAG, RUN_TAG, STAGE_TAG


@dataclass(frozen=True)
class RecordedVersion:
    """A registered version.

    ``tags``: of the version. ``metadata``: kept with its files, ``class_names`` and ``image_shape`` among it; empty
    where they cannot be read. ``run``: None of a version without one, or whose run is deleted for good.
    """

    version: str
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    run: "RecordedRun | None"


@dataclass(frozen=True)
class RecordedRun:
    """What a version was trained by.

    ``settings``: of the configuration, by their dotted names. ``chosen``: values that the search found, of the first
    network where there are several. ``identity``: the parts of what determined it, by name.
    """

    name: str
    settings: Mapping[str, str]
    chosen: Mapping[str, str]
    identity: Mapping[str, str]


def read_version(tracking: Client, model_name: str, version: str) -> RecordedVersion:
    """All of a version that is there."""
    found = tracking.get_model_version(model_name, version)
    run = _run_of(tracking, found.run_id)
    return RecordedVersion(
        version,
        dict(found.tags),
        _metadata(f"models:/{model_name}/{version}"),
        _recorded(tracking, run) if run else None,
    )


def _run_of(tracking: Client, run_id: str | None) -> Run | None:
    if not run_id:
        return None
    try:
        return tracking.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _recorded(tracking: Client, run: Run) -> RecordedRun:
    # MLflow also keeps the metadata of the model with the run's parameters: these have no dots.
    settings = {name: value for name, value in run.data.params.items() if "." in name or name == "seed"}
    return RecordedRun(
        name=run.data.tags.get(RUN_TAG, run.info.run_name or ""),
        settings=settings,
        chosen={name: value for name, value in _final_params(tracking, run).items() if f"final.{name}" not in settings},
        identity=identity_parts(run.data.tags),
    )


def _final_params(tracking: Client, run: Run) -> dict[str, str]:
    """Of the final training's first network."""
    query = f"tags.`{PARENT_TAG}` = '{run.info.run_id}' and tags.`{STAGE_TAG}` = 'final' and run_name = 'final'"
    found = tracking.search_runs([run.info.experiment_id], query, max_results=1)
    return dict(found[0].data.params) if found else {}


def _metadata(model_uri: str) -> dict[str, Any]:
    try:
        return model_metadata(model_uri)
    except Exception:  # of whichever artifact store it is: boto3's, an HTTP client's, the file system's
        return {}
