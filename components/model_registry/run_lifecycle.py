"""Open the MLflow run of a pipeline run, and close it with the true status."""

import json
from collections.abc import Iterator
from pathlib import Path

from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.runs import RunReference, RunSummary
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.run_folder import REPORT_FILE, SUMMARY_FILE, run_folder
from sanefit.components.foundation.tracking.connection import connect, store_exists
from sanefit.components.foundation.tracking.runs import close_run, find_run, open_run
from sanefit.components.model_registry.run_origin import origin_of

GOOD_STATES = frozenset({"SUCCEEDED", "COMPLETE", "CACHED"})  # kfp.local says the first, a cluster the others


def open_tracking_run(
    model_name: str,
    run_name: str,
    storage: str,
    tracking_uri: str,
    dataset: DatasetReference,
    params: dict[str, str],
    say: Say,
) -> RunReference:
    """Find or create the parent run in the experiment ``model_name``.

    Args:
        model_name: also the experiment's name.
        run_name: unique.
        storage: a folder or ``s3://`` prefix; the run's folder is ``runs/RUN_NAME`` below it.
        tracking_uri: of MLflow.
        dataset: named in the run's tags.
        params: flat settings.
        say: prints a line.
    """
    local_store = tracking_uri.startswith("sqlite:") and not object_store.is_s3(storage)
    run_id = open_run(
        connect(tracking_uri),
        experiment=model_name,
        artifact_location=(Path(storage) / "mlflow-artifacts").absolute().as_uri() if local_store else None,
        run_name=run_name,
        tags=origin_of(dataset, params).tags(),
        params=params,
    )
    say(f"MLflow experiment {model_name!r}, run {run_name!r}")
    return RunReference(
        run_name=run_name,
        folder_uri=run_folder(storage, run_name),
        tracking_uri=tracking_uri,
        tracking_run_id=run_id,
    )


def close_tracking_run(
    model_name: str, run_name: str, storage: str, tracking_uri: str, state: str, message: str, say: Say
) -> None:
    """End the parent run as finished or failed, with the report and the reason of a failure.

    Args:
        model_name: the experiment.
        run_name: the run; when the data could not be read none was opened, and none is closed.
        storage: as for ``open_tracking_run``.
        tracking_uri: of MLflow.
        state: the pipeline's state.
        message: the orchestrator's error message, or empty.
        say: prints a line.
    """
    run = None
    if store_exists(tracking_uri):
        client = connect(tracking_uri)
        run = find_run(client, model_name, run_name)
    if run is None:
        say(f"run {run_name!r} was never opened in MLflow; nothing to close")
        return
    folder = run_folder(storage, run_name)
    succeeded = state in GOOD_STATES
    close_run(
        client,
        run.info.run_id,
        succeeded=succeeded,
        failure="" if succeeded else _reason(folder) or message or state,
        attach=_report(folder),
    )
    say(f"MLflow run closed as {'finished' if succeeded else 'failed'}")


def flat_settings(seed: int, **sections: str) -> dict[str, str]:
    """Settings as dotted names and text: ``{"seed": "0", "search.coarse.trials": "100", …}``.

    Args:
        seed: of the run.
        sections: JSON of each section.
    """
    named = {"seed": seed, **{name: json.loads(section) for name, section in sections.items()}}
    return dict(_leaves(named, prefix=""))


def _leaves(value: object, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, str(value)


def _reason(folder: str) -> str:
    uri = object_store.join(folder, SUMMARY_FILE)
    if not object_store.exists(uri):
        return ""
    return " | ".join(RunSummary.model_validate_json(object_store.read_bytes(uri)).failed_checks)


def _report(folder: str) -> Path | None:
    uri = object_store.join(folder, REPORT_FILE)
    if not object_store.exists(uri):
        return None
    return object_store.local_copy(uri, object_store.local_cache())
