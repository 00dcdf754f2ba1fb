"""What ``sanefit runs list`` and ``sanefit runs show`` say of a run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import state_of
from sanefit.pipeline.kubeflow.runs.failure_reason import failure_of
from sanefit.pipeline.kubeflow.runs.follow_run import duration, said_of
from sanefit.pipeline.kubeflow.runs.run_states import ENDED, SUCCEEDED
from sanefit.pipeline.kubeflow.runs.run_steps import moment, steps_of


def summary(run: Any) -> dict[str, Any]:
    """A run in a few values; times in ISO 8601."""
    return {
        "run_id": run.run_id,
        "run_name": run.display_name,
        "state": state_of(run),
        "created": _iso(run.created_at),
        "finished": _iso(run.finished_at),
        "schedule_id": run.recurring_run_id or None,
    }


def columns(runs: Sequence[Any]) -> list[str]:
    """A line for each run: name, state, when it began, how long it took, id."""
    width = max((len(run.display_name or "") for run in runs), default=0)
    return [
        f"{run.display_name or '':<{width}}  {state_of(run):<9}  {_local(run.created_at):<16}  {_took(run):>12}  "
        f"{run.run_id}"
        for run in runs
    ]


def details(kubeflow: Kubeflow, run: Any) -> dict[str, Any]:
    """All that is known of a run."""
    reference, settings = run.pipeline_version_reference, run.runtime_config
    return {
        **summary(run),
        "parameters": (settings.parameters if settings else None) or {},
        "pipeline_version_id": reference.pipeline_version_id if reference else None,
        "service_account": run.service_account,
        "link": kubeflow.link(run.run_id),
        "steps": [step.record() for step in steps_of(run)],
        **({"error": failure_of(kubeflow, run).line()} if _went_wrong(run) else {}),
    }


def details_lines(kubeflow: Kubeflow, run: Any) -> list[str]:
    """The same for a reader."""
    known = details(kubeflow, run)
    times = f"{_local(run.created_at)}{f', {took}' if (took := _took(run)) else ''}"
    lines = [
        f"{'run':<14} {known['run_name']}, {known['state']}",
        f"{'id':<14} {known['run_id']}",
        f"{'began':<14} {times}",
        *(f"{name:<14} {value}" for name, value in sorted(known["parameters"].items()) if name != "run_name"),
        f"{'link':<14} {kubeflow.link_line(run.run_id)}",
        *(f"{step.name:<14} {said_of(step)}" for step in steps_of(run)),
    ]
    return [*lines, f"{'failed':<14} {known['error']}"] if "error" in known else lines


def _went_wrong(run: Any) -> bool:
    return run.state in ENDED and run.state != SUCCEEDED


def _took(run: Any) -> str:
    began, ended = moment(run.created_at), moment(run.finished_at)
    return duration((ended - began).total_seconds()) if began and ended else ""


def _iso(time: datetime | None) -> str | None:
    known = moment(time)
    return known.isoformat() if known else None


def _local(time: datetime | None) -> str:
    known = moment(time)
    return known.astimezone().strftime("%Y-%m-%d %H:%M") if known else ""
