"""What came of a run that succeeded: the registered version, or the finished run that it equals."""

from collections.abc import Iterable
from typing import Any

from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.schemas.runs import NOTHING_NEW
from sanefit.components.foundation.step_lines.line_forms import StepLine
from sanefit.components.foundation.step_lines.reading import read_line
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.argo_workflow import Workflow
from sanefit.pipeline.kubeflow.runs.pod_logs import log_of
from sanefit.pipeline.kubeflow.runs.run_states import SUCCEEDED
from sanefit.pipeline.kubeflow.runs.run_steps import Step, steps_of, steps_of_workflow
from sanefit.pipeline.task_names import CLOSING, COMPARE, OPEN_RUN, PREPARATION, TASKS

UNNAMED = "a run that finished; the log of the step `compare`, which names it, is gone"
OF_ANY_RUN = (PREPARATION, CLOSING)  # with news or without


def outcome_of(kubeflow: Kubeflow, run: Any, record: RunRecord, workflow: Workflow | None) -> dict[str, Any]:
    """For a program, in the words of ``sanefit run --json``; ``equals``: why nothing was trained, where nothing was.

    Args:
        kubeflow: the connection.
        run: that has ended.
        record: what the run said of itself.
        workflow: Argo's, where it can be had.
    """
    equals = _said_nothing_new([step.said for step in record.steps]) or (
        "" if record.registration or record.steps else _equal_run(kubeflow, run, workflow)
    )
    registered = record.registration
    return {
        "nothing_new": bool(equals),
        "equals": equals or None,
        "model_name": registered and registered.model_name,
        "model_version": registered and registered.model_version,
        "model_uri": registered and registered.model_uri,
        "alias": registered and registered.alias,
        "test_accuracy": registered and registered.test_accuracy,
        "promotion_reason": registered and registered.reason,
    }


def outcome_lines(outcome: dict[str, Any]) -> dict[str, str]:
    """The same for a reader; nothing of a run of which nothing is known."""
    if outcome["nothing_new"]:
        return {NOTHING_NEW: outcome["equals"]}
    if outcome["model_uri"] is None:
        return {}
    named = f"{outcome['model_name']} version {outcome['model_version']}, {outcome['alias']}"
    return {"model": f"{named}: test accuracy {outcome['test_accuracy']:.4f}; {outcome['promotion_reason']}"}


def _equal_run(kubeflow: Kubeflow, run: Any, workflow: Workflow | None) -> str:
    """What the step said that found nothing new; empty unless the run ended after it."""
    if run.state != SUCCEEDED:
        return ""
    steps = {step.name: step for step in (steps_of_workflow(workflow) if workflow else steps_of(run))}
    compared = steps.get(TASKS[PREPARATION].name, steps.get(COMPARE))
    went_on = steps.keys() & {OPEN_RUN, *(task.name for name, task in TASKS.items() if name not in OF_ANY_RUN)}
    return "" if compared is None or went_on else _said_by(kubeflow, run, compared)


def _said_by(kubeflow: Kubeflow, run: Any, compared: Step) -> str:
    said = [line.text for text in log_of(kubeflow, run, compared) if isinstance(line := read_line(text), StepLine)]
    return _said_nothing_new(said) or UNNAMED


def _said_nothing_new(lines: Iterable[str]) -> str:
    """What a run equals, from what its steps said; empty when none of them said so."""
    start = f"{NOTHING_NEW}: "
    return next((line.removeprefix(start) for line in lines if line.startswith(start)), "")
