"""The run of a pipeline run: opened once, found again by its tag, closed."""

import re
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage.layout import name_of_clone
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.tags import FAILURE_TAG, JOB_TAG, RUN_TAG

PARAMS_PER_BATCH = 100
EXPERIMENTS_AT_ONCE = 500


def open_run(
    tracking: Client,
    *,
    experiment: str,
    artifact_location: str | None,
    run_name: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    job_id: str = "",
) -> str:
    """Find or create the parent run of an orchestrator's run; its id.

    A run that was cloned has the name of the one before it: it is a new run, and gets a name of its own.

    Args:
        tracking: a client.
        experiment: created when missing.
        artifact_location: of a new experiment; None leaves it to the server.
        run_name: what it is called, unless another run is; without ``job_id``, one parent run each.
        tags, params: written when the run is created.
        job_id: of the orchestrator's run; a step that is repeated has the same.

    Raises:
        StorageError: when the store cannot be reached.
    """
    experiment_id = _experiment_id(tracking, experiment, artifact_location)
    if (found := find_run(tracking, experiment, run_name, job_id)) is not None:
        return str(found.info.run_id)
    taken = bool(job_id) and find_run(tracking, experiment, run_name) is not None
    name = name_of_clone(run_name, job_id) if taken else run_name
    own_tags = {RUN_TAG: name, **({JOB_TAG: job_id} if job_id else {})}
    run = tracking.create_run(experiment_id, run_name=name, tags={**own_tags, **tags})
    run_id = str(run.info.run_id)
    entries = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(entries), PARAMS_PER_BATCH):
        tracking.log_batch(run_id, params=entries[start : start + PARAMS_PER_BATCH])
    return run_id


def run_tags(tracking: Client, run_id: str) -> dict[str, str]:
    """All tags of a run."""
    return dict(tracking.get_run(run_id).data.tags)


def tag_run(tracking: Client, run_id: str, tag: str, value: str) -> None:
    """Write a tag of a run."""
    tracking.set_tag(run_id, tag, value)


def find_run(tracking: Client, experiment: str, run_name: str, job_id: str = "") -> Run | None:
    """The parent run of an orchestrator's run, if there is one; without its id, that of this name."""
    found = tracking.get_experiment_by_name(experiment)
    if found is None:
        return None
    tag, value = (JOB_TAG, job_id) if job_id else (RUN_TAG, run_name)
    # MLflow's filters know no way to write a quote: what stands before it is asked for, and the rest compared here.
    start = re.split("['\"]", value)[0]
    query = f"tags.`{tag}` = '{value}'" if start == value else f"tags.`{tag}` LIKE '{start}%'"
    token = None
    while True:
        page = tracking.search_runs([found.experiment_id], query, ViewType.ALL, page_token=token)
        if (run := next((run for run in page if run.data.tags.get(tag) == value), None)) or not page.token:
            return run
        token = page.token


def find_run_of_job(tracking: Client, job_id: str) -> Run | None:
    """The parent run of an orchestrator's run, in whichever experiment it is."""
    token = None
    while True:
        page = tracking.search_experiments(ViewType.ALL, max_results=EXPERIMENTS_AT_ONCE, page_token=token)
        ids = [str(experiment.experiment_id) for experiment in page]
        found = tracking.search_runs(ids, f"tags.`{JOB_TAG}` = '{job_id}'", ViewType.ALL, max_results=1) if ids else []
        if found or not page.token:
            return found[0] if found else None
        token = page.token


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
    elif FAILURE_TAG in tracking.get_run(run_id).data.tags:  # of a try before this one
        tracking.delete_tag(run_id, FAILURE_TAG)
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
