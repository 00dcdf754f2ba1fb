"""Open the MLflow run of a pipeline run, and close it with the true status."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.schemas.runs import RunReference, RunSummary
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import RunFolder, Storage
from sanefit.components.foundation.storage.remote_stores import is_remote
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.foundation.tracking.connection import asking_once, connect, store_exists
from sanefit.components.foundation.tracking.finished_runs import identity_tags
from sanefit.components.foundation.tracking.kubeflow_plugin import plugins_run
from sanefit.components.foundation.tracking.locked_store import wait_until_unlocked
from sanefit.components.foundation.tracking.readiness import (
    patiently,
    require_free_name,
    require_server,
    require_writable_artifacts,
    why_champion_not_loaded,
)
from sanefit.components.foundation.tracking.run_record import mirror_if_taken
from sanefit.components.foundation.tracking.runs import close_run, find_run, log_summary, open_run, run_tags
from sanefit.components.foundation.tracking.tags import FINGERPRINT_TAG, RUN_TAG
from sanefit.components.model_registry.run_failure import ENDED, GOOD_STATES, has_succeeded, why_failed

SETTINGS_FILE = "settings.json"  # flat, among the run's files
CLOSING_SECONDS = 30.0


@dataclass(frozen=True)
class EndedRun:
    """``failure``: why it failed; empty when it has not, or nobody says so. ``run``: None without one in MLflow."""

    run_name: str
    failure: str
    run: RunReference | None = None


def open_tracking_run(
    model_name: str,
    run_name: str,
    job_id: str,
    storage: str,
    tracking_uri: str,
    identity: TrainingIdentity,
    params: dict[str, str],
    say: Say,
) -> RunReference:
    """Find or create the parent run in the experiment ``model_name``.

    Args:
        model_name: also the experiment's name.
        run_name: what it is called, unless another run is.
        job_id: of the orchestrator's run.
        storage: a folder or ``s3://`` prefix; the run's folder is ``runs/RUN_NAME`` below it.
        tracking_uri: of MLflow.
        identity: of the run, kept in its tags.
        params: flat settings.
        say: prints a line.

    Raises:
        SettingsError: when the name is a prompt's, or the experiment is deleted.
        StorageError: when there is no MLflow that can be used, or its artifact store cannot be written from here.
    """
    local_store = tracking_uri.startswith("sqlite:") and not is_remote(storage)
    wait_until_unlocked(tracking_uri, say)
    tracking = connect(tracking_uri)
    require_server(tracking, model_name)
    require_free_name(tracking, model_name)
    run_id = open_run(
        tracking,
        experiment=model_name,
        artifact_location=Path(Storage(storage).mlflow_artifacts).absolute().as_uri() if local_store else None,
        run_name=run_name,
        job_id=job_id,
        tags={
            FINGERPRINT_TAG: identity.images,
            **identity_tags(identity.digest, identity.parts),
            **plugins_run(os.environ),
        },
        params=params,
    )
    require_writable_artifacts(tracking, run_id, SETTINGS_FILE, json.dumps(params, indent=1))
    if reason := why_champion_not_loaded(tracking, model_name):
        say(f"warning: {reason}; whatever this run trains stays challenger; `sanefit registry promote` replaces it")
    name = run_tags(tracking, run_id)[RUN_TAG]
    say(f"MLflow experiment {model_name!r}, run {name!r}")
    return RunReference(
        run_name=name,
        storage=storage,
        tracking_uri=tracking_uri,
        tracking_run_id=run_id,
    )


def close_tracking_run(
    model_name: str, run_name: str, job_id: str, storage: str, tracking_uri: str, state: str, message: str, say: Say
) -> EndedRun:
    """End the parent run as finished or failed, with the report and the reason of a failure.

    Args:
        model_name: the experiment.
        run_name: the run; when the data could not be read none was opened, and none is closed.
        job_id: of the orchestrator's run; empty where it is not known.
        storage: as for ``open_tracking_run``.
        tracking_uri: of MLflow.
        state: the pipeline's state.
        message: the orchestrator's error message, or empty.
        say: prints a line.
    """
    run = None
    if store_exists(tracking_uri):
        client = connect(tracking_uri)
        run = patiently(
            lambda: find_run(client, model_name, run_name, job_id), tracking_uri, say, patience=CLOSING_SECONDS
        )
    if run is None:
        say(f"run {run_name!r} was never opened in MLflow; nothing to close")
        return ended_as_told(run_name, state, message)
    name = run.data.tags[RUN_TAG]
    folder = Storage(storage).run(name)
    summary = _summary(folder)
    succeeded = has_succeeded(state, summary)
    record = read_run_record(folder)
    failure = "" if succeeded else why_failed(record, summary, message)
    if ends := [step.ended for step in record.steps if step.ended is not None]:
        log_summary(client, run.info.run_id, _of_gpus(record), max(ends))
    close_run(client, run.info.run_id, succeeded=succeeded, failure=failure, attach=_report(folder))
    say(f"MLflow run closed as {'finished' if succeeded else f'failed: {failure}'}")
    closed = RunReference(
        run_name=name, storage=storage, tracking_uri=tracking_uri, tracking_run_id=str(run.info.run_id)
    )
    return EndedRun(name, failure, closed)


def _of_gpus(record: RunRecord) -> dict[str, float]:
    utilization = record.gpu_utilization
    return {"gpu_hours": record.gpu_hours} | ({} if utilization is None else {"gpu_utilization": utilization})


def ended_as_told(run_name: str, state: str, message: str) -> EndedRun:
    """How a run ended, by the orchestrator's word alone: "still running" may be one; arguments as above."""
    return EndedRun(run_name, (message or state) if state in ENDED - GOOD_STATES else "")


def show_in_mlflow(run: RunReference | None) -> None:
    """Copy the record of a run so far to MLflow, where MLflow takes it; without a run there is nothing to do."""
    if run is not None:
        with asking_once():
            mirror_if_taken(connect(run.tracking_uri), run)


def _summary(folder: RunFolder) -> RunSummary | None:
    if not object_store.exists(folder.summary):
        return None
    return RunSummary.model_validate_json(object_store.read_bytes(folder.summary))


def _report(folder: RunFolder) -> Path | None:
    if not object_store.exists(folder.report):
        return None
    return object_store.local_copy(folder.report, object_store.local_cache())
