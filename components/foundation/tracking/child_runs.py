"""Runs below that of a pipeline run: one for each trial and each member of the final training, with their curves."""

import functools
from collections.abc import Mapping, Sequence

from mlflow.entities import LifecycleStage, Metric, Param, Run, ViewType

from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.tags import PARENT_TAG, TRIAL_TAG

METRICS_PER_BATCH = 1000
CURVES = (
    "learning_rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_balanced_accuracy",
    "validation_recall",
)


class ChildRun(Artifact):
    """A finished run below another.

    ``name``: unique among the parent's children. ``epochs``: its curves. ``summary``: single values. ``started`` and
    ``ended``: epoch seconds. ``failed``: the status to close it with.
    """

    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    epochs: Sequence[EpochRecord]
    summary: Mapping[str, float]
    started: float
    ended: float
    failed: bool


def log_child_run(tracking: Client, parent: RunReference, child: ChildRun) -> None:
    """Write a child run with its curves, unless it is already there; one that was begun is completed.

    A point that a begun run has, whatever its time, is not written twice. A run that was deleted stays so, as it was.

    Args:
        tracking: a client.
        parent: the run above it.
        child: what is written; of a curve, a value that is not finite is left out.
    """
    run = _unfinished(tracking, parent, child)
    if run is None:
        return
    timestamp = int(child.ended * 1000)
    metrics = _missing(tracking, run, [*_curves(child.epochs, timestamp), *_metrics(child.summary, timestamp)])
    for start in range(0, max(len(metrics), 1), METRICS_PER_BATCH):
        tracking.log_batch(
            run.info.run_id,
            metrics=metrics[start : start + METRICS_PER_BATCH],
            params=[Param(key, value) for key, value in child.params.items()] if start == 0 else [],
        )
    tracking.set_terminated(run.info.run_id, "FAILED" if child.failed else "FINISHED", timestamp)


def _unfinished(tracking: Client, parent: RunReference, child: ChildRun) -> Run | None:
    """The child's run, created where there is none; None when it has ended or was deleted."""
    experiment_id = _experiment_of(tracking, parent.tracking_run_id)
    key = f"{parent.run_name}/{child.name}"
    found = tracking.search_runs([experiment_id], f"tags.`{TRIAL_TAG}` = '{key}'", ViewType.ALL, max_results=1)
    if not found:
        tags = {PARENT_TAG: parent.tracking_run_id, TRIAL_TAG: key, **child.tags}
        return tracking.create_run(experiment_id, int(child.started * 1000), tags, child.name)
    [run] = found
    return run if run.info.status == "RUNNING" and run.info.lifecycle_stage != LifecycleStage.DELETED else None


@functools.lru_cache(maxsize=1)  # it never changes, and a pack asks for that of its parent with each trial
def _experiment_of(tracking: Client, run_id: str) -> str:
    return str(tracking.get_run(run_id).info.experiment_id)


def _curves(epochs: Sequence[EpochRecord], timestamp: int) -> list[Metric]:
    return [
        Metric(name, value, timestamp, record.epoch)
        for record in epochs
        for name in CURVES
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
