"""What ``sanefit runs list`` and ``sanefit runs show`` say of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.argo_workflow import read_workflow
from sanefit.pipeline.kubeflow.runs.failure_reason import Ending, ending_of
from sanefit.pipeline.kubeflow.runs.run_outcome import outcome_lines, outcome_of
from sanefit.pipeline.kubeflow.runs.run_progress import duration, progress_of, said_of, stage_lines, stage_records
from sanefit.pipeline.kubeflow.runs.run_states import ENDED, parameters_of, state_of
from sanefit.pipeline.kubeflow.runs.run_steps import Step, moment


@dataclass(frozen=True)
class Details:
    """A run, Kubeflow's and its own word; ``outcome``: empty until it has ended."""

    run: Any
    ending: Ending
    steps: list[Step]
    record: RunRecord
    outcome: dict[str, Any]
    link: str
    link_line: str


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


def look_into(kubeflow: Kubeflow, run: Any, record: RunRecord) -> Details:
    """Ask all that is known of a run.

    Args:
        kubeflow: the connection.
        run: with its tasks.
        record: what the run said of itself.
    """
    workflow = read_workflow(kubeflow, str(run.run_id))
    ended = run.state in ENDED
    return Details(
        run=run,
        ending=ending_of(kubeflow, run, record, workflow) if ended else Ending(state_of(run), None),
        steps=progress_of(run, record, workflow),
        record=record,
        outcome=outcome_of(kubeflow, run, record, workflow) if ended else {},
        link=kubeflow.link(run.run_id),
        link_line=kubeflow.link_line(run.run_id),
    )


def details(known: Details) -> dict[str, Any]:
    """All that is known of a run, for a program."""
    reference = known.run.pipeline_version_reference
    return {
        **summary(known.run),
        "state": known.ending.state,
        "parameters": parameters_of(known.run),
        "pipeline_version_id": reference.pipeline_version_id if reference else None,
        "service_account": known.run.service_account,
        "link": known.link,
        "steps": [step.record() for step in known.steps],
        "search": stage_records(known.record),
        **known.outcome,
        **({"error": known.ending.failure.line()} if known.ending.failure else {}),
    }


def details_lines(known: Details) -> list[str]:
    """The same for a reader."""
    run, failure = known.run, known.ending.failure
    given = {name: value for name, value in sorted(parameters_of(run).items()) if name != "run_name"}
    lines = {
        "run": f"{run.display_name}, {known.ending.state}",
        "id": run.run_id,
        "began": f"{_local(run.created_at)}{f', {took}' if (took := _took(run)) else ''}",
        **given,
        "link": known.link_line,
        **{step.name: said_of(step) for step in known.steps},
        **stage_lines(known.record),
        **(outcome_lines(known.outcome) if known.outcome else {}),
        **({"stopped" if failure.stopped else "failed": failure.line()} if failure else {}),
    }
    return [f"{name:<14} {value}" for name, value in lines.items()]


def _took(run: Any) -> str:
    began, ended = moment(run.created_at), moment(run.finished_at)
    return duration((ended - began).total_seconds()) if began and ended else ""


def _iso(time: datetime | None) -> str | None:
    known = moment(time)
    return known.isoformat() if known else None


def _local(time: datetime | None) -> str:
    known = moment(time)
    return known.astimezone().strftime("%Y-%m-%d %H:%M") if known else ""
