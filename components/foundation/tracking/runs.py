"""The run of a pipeline run: opened once, found again by its tag, closed."""

from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.tags import FAILURE_TAG, RUN_TAG

PARAMS_PER_BATCH = 100


def open_run(
    tracking: Client,
    *,
    experiment: str,
    artifact_location: str | None,
    run_name: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
) -> str:
    """Find or create the parent run of ``run_name``; its id.

    Args:
        tracking: a client.
        experiment: created when missing.
        artifact_location: of a new experiment; None leaves it to the server.
        run_name: one parent run each.
        tags, params: written when the run is created.

    Raises:
        StorageError: when the store cannot be reached.
    """
    experiment_id = _experiment_id(tracking, experiment, artifact_location)
    if (found := find_run(tracking, experiment, run_name)) is not None:
        return str(found.info.run_id)
    run = tracking.create_run(experiment_id, run_name=run_name, tags={RUN_TAG: run_name, **tags})
    run_id = str(run.info.run_id)
    entries = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(entries), PARAMS_PER_BATCH):
        tracking.log_batch(run_id, params=entries[start : start + PARAMS_PER_BATCH])
    return run_id


def find_run(tracking: Client, experiment: str, run_name: str) -> Run | None:
    """The parent run of ``run_name``, if there is one."""
    found = tracking.get_experiment_by_name(experiment)
    if found is None:
        return None
    query = f"tags.`{RUN_TAG}` = '{run_name}'"
    runs = tracking.search_runs([found.experiment_id], query, ViewType.ALL, max_results=1)
    return runs[0] if runs else None


def log_summary(tracking: Client, run_id: str, metrics: Mapping[str, float], now: float) -> None:
    """Write single metrics to a run, but for values that it has already; ``now`` is in epoch seconds."""
    known, timestamp = tracking.get_run(run_id).data.metrics, int(now * 1000)
    new = [Metric(name, value, timestamp, 0) for name, value in metrics.items() if known.get(name) != value]
    tracking.log_batch(run_id, metrics=new)


def close_run(tracking: Client, run_id: str, *, succeeded: bool, failure: str, attach: Path | None) -> None:
    """End the parent run.

    Args:
        tracking: a client.
        run_id: the parent run.
        succeeded: FINISHED, else FAILED.
        failure: why, kept as a tag; empty when it succeeded.
        attach: a file to keep with the run.
    """
    if attach is not None:
        tracking.log_artifact(run_id, str(attach))
    if failure:
        tracking.set_tag(run_id, FAILURE_TAG, failure[:5000])
    tracking.set_terminated(run_id, "FINISHED" if succeeded else "FAILED")


def _experiment_id(tracking: Client, name: str, artifact_location: str | None) -> str:
    try:
        if (found := tracking.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        return str(tracking.create_experiment(name, artifact_location))
    except MlflowException as error:
        if error.error_code == "RESOURCE_ALREADY_EXISTS":  # created by another run meanwhile
            found = tracking.get_experiment_by_name(name)
            assert found is not None
            return str(found.experiment_id)
        raise StorageError(
            f"cannot use MLflow at {tracking.tracking_uri!r}: {str(error).splitlines()[0]}; "
            "expected a reachable tracking server; set MLFLOW_TRACKING_URI"
        ) from error
