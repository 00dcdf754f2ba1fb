"""Runs, curves, models and aliases in MLflow. The only user of mlflow.

A run is found again by its tags, so a step that is repeated adds nothing twice.
"""

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.training import EpochRecord

if TYPE_CHECKING:
    from torch import nn

RUN_TAG = "sanefit.run"
TRIAL_TAG = "sanefit.trial"
FINGERPRINT_TAG = "sanefit.fingerprint"
FAILURE_TAG = "sanefit.failure"
PARENT_TAG = "mlflow.parentRunId"
PARAMS_PER_BATCH = 100
METRICS_PER_BATCH = 1000

Client = MlflowClient
_connected = False


def client(tracking_uri: str) -> Client:
    """A client of the tracking server or store; model loading uses the same one."""
    global _connected
    _connected = True
    mlflow.set_tracking_uri(tracking_uri)
    # Whatever the environment says: what a thread fails to write would be lost, and its run closed as complete.
    mlflow.config.enable_async_logging(False)  # type: ignore[no-untyped-call]
    return MlflowClient(tracking_uri)


def is_connected() -> bool:
    """Whether this process has asked for a client, which may hold connections open."""
    return _connected


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


def store_exists(tracking_uri: str) -> bool:
    """False for a local SQLite store whose file is missing: asking it anything would create it."""
    return not tracking_uri.startswith("sqlite:///") or Path(tracking_uri.removeprefix("sqlite:///")).exists()


def find_run(tracking: Client, experiment: str, run_name: str) -> Run | None:
    """The parent run of ``run_name``, if there is one."""
    found = tracking.get_experiment_by_name(experiment)
    if found is None:
        return None
    query = f"tags.`{RUN_TAG}` = '{run_name}'"
    runs = tracking.search_runs([found.experiment_id], query, ViewType.ALL, max_results=1)
    return runs[0] if runs else None


def log_child_run(
    tracking: Client,
    parent: RunReference,
    *,
    name: str,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    epochs: Sequence[EpochRecord],
    summary: Mapping[str, float],
    started: float,
    ended: float,
    failed: bool,
) -> None:
    """Write one finished child run with its curves, unless it is already there; one that was begun is completed.

    A point that a begun run has, whatever its time, is not written twice. A run that was deleted stays so, as it was.

    Args:
        tracking: a client.
        parent: the run above it.
        name: unique among the parent's children.
        params, tags: of the child.
        epochs: its curves; a value that is not finite is left out.
        summary: single metrics.
        started, ended: epoch seconds.
        failed: the status to close it with.
    """
    experiment_id = _experiment_of(tracking, parent.tracking_run_id)
    trial_key = f"{parent.run_name}/{name}"
    found = tracking.search_runs([experiment_id], f"tags.`{TRIAL_TAG}` = '{trial_key}'", ViewType.ALL, max_results=1)
    if found and (found[0].info.status != "RUNNING" or found[0].info.lifecycle_stage == LifecycleStage.DELETED):
        return
    all_tags = {PARENT_TAG: parent.tracking_run_id, TRIAL_TAG: trial_key, **tags}
    run = (
        found[0]
        if found
        else tracking.create_run(experiment_id, start_time=int(started * 1000), run_name=name, tags=all_tags)
    )
    metrics = _missing(tracking, run, [*_curves(epochs, int(ended * 1000)), *_metrics(summary, int(ended * 1000))])
    for start in range(0, max(len(metrics), 1), METRICS_PER_BATCH):
        tracking.log_batch(
            run.info.run_id,
            metrics=metrics[start : start + METRICS_PER_BATCH],
            params=[Param(key, value) for key, value in params.items()] if start == 0 else [],
        )
    tracking.set_terminated(run.info.run_id, "FAILED" if failed else "FINISHED", int(ended * 1000))


def log_summary(tracking: Client, run_id: str, metrics: Mapping[str, float], now: float) -> None:
    """Write single metrics to a run, but for values that it has already; ``now`` is in epoch seconds."""
    known = tracking.get_run(run_id).data.metrics
    new = {name: value for name, value in metrics.items() if known.get(name) != value}
    tracking.log_batch(run_id, metrics=_metrics(new, int(now * 1000)))


def register_model(
    tracking: Client,
    run: RunReference,
    *,
    model: "nn.Module",
    model_name: str,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    tags: Mapping[str, str],
) -> str:
    """Store the model as an exported graph, no pickle, and register it; the version.

    A run registers one version: when it already has one, that version is returned.

    Args:
        tracking: a client.
        run: the parent run, which the version points to.
        model: from uint8 (images, height, width, channels) to probabilities (images, classes).
        model_name: the registered model.
        class_names: in the order of the probabilities; kept in the model's metadata.
        image_shape: (height, width, channels).
        tags: of the version.
    """
    existing = tracking.search_model_versions(f"name = '{model_name}' and run_id = '{run.tracking_run_id}'")
    if existing:
        return str(existing[0].version)
    uri = _log_model(run, model, class_names, image_shape)
    _create_registered_model(tracking, model_name)
    version = tracking.create_model_version(
        model_name, source=uri, run_id=run.tracking_run_id, tags=dict(tags), model_id=uri.rsplit("/", 1)[1]
    )
    return str(version.version)


def champion_version(tracking: Client, model_name: str) -> str | None:
    """The version under the alias ``champion``, if any."""
    try:
        return str(tracking.get_model_version_by_alias(model_name, "champion").version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def set_alias(tracking: Client, model_name: str, alias: str, version: str) -> None:
    """Point ``alias`` to ``version``."""
    tracking.set_registered_model_alias(model_name, alias, version)


def model_metadata(model_uri: str) -> dict[str, Any]:
    """What ``register_model`` noted with a model: ``class_names`` and ``image_shape``; empty for others."""
    return dict(mlflow.models.get_model_info(model_uri).metadata or {})


def predict(model_uri: str, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Probabilities (images, classes) of a registered model for batches of raw pixels (N, H, W, C)."""
    model = mlflow.pyfunc.load_model(model_uri)
    return np.concatenate([model.predict(batch) for batch in batches])


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


@functools.lru_cache(maxsize=1)  # it never changes, and a pack asks for that of its parent with each trial
def _experiment_of(tracking: Client, run_id: str) -> str:
    return str(tracking.get_run(run_id).info.experiment_id)


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


def _create_registered_model(tracking: Client, name: str) -> None:
    try:
        tracking.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_model(
    run: RunReference, model: "nn.Module", class_names: Sequence[str], image_shape: tuple[int, int, int]
) -> str:
    import mlflow.pytorch
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *image_shape))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, len(class_names)))]),
    )
    tracking = MlflowClient()
    with mlflow.start_run(run_id=run.tracking_run_id):
        info = mlflow.pytorch.log_model(
            model,
            name="model",
            signature=signature,
            input_example=np.zeros((2, *image_shape), dtype=np.uint8),  # one image would freeze the batch size
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"mlflow=={mlflow.__version__}"],
            metadata={"class_names": list(class_names), "image_shape": list(image_shape)},
        )
    tracking.update_run(run.tracking_run_id, status="RUNNING")  # start_run closes it; the exit handler does that
    return str(info.model_uri)


def _curves(epochs: Sequence[EpochRecord], timestamp: int) -> list[Metric]:
    names = ("learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return [
        Metric(name, value, timestamp, record.epoch)
        for record in epochs
        for name in names
        if (value := getattr(record, name)) is not None
    ]


def _missing(tracking: Client, run: Run, metrics: Sequence[Metric]) -> list[Metric]:
    """Those for which ``run`` has no value at their step; it has none at all when it is new."""
    known = {
        (name, point.step) for name in run.data.metrics for point in tracking.get_metric_history(run.info.run_id, name)
    }
    return [metric for metric in metrics if (metric.key, metric.step) not in known]


def _metrics(values: Mapping[str, float], timestamp: int) -> list[Metric]:
    return [Metric(name, value, timestamp, 0) for name, value in values.items()]
