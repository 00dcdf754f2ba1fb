"""Why a run on the cluster did not succeed.

A step that fails says why in the run's own record, and in its log. A container that never started says nothing: then
Argo says why. Kubeflow's tasks say which step failed, and no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.step_lines.line_forms import StepError
from sanefit.components.foundation.step_lines.reading import read_line
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.argo_workflow import Workflow
from sanefit.pipeline.kubeflow.runs.pod_logs import log_of
from sanefit.pipeline.kubeflow.runs.run_states import FAILED, STOPPED, SUCCEEDED, last_began, state_of, was_told_to_stop
from sanefit.pipeline.kubeflow.runs.run_steps import Step, error_text, steps_of, steps_of_workflow, tasks_of
from sanefit.pipeline.task_names import CLOSE_RUN

ON_REQUEST = "on request: sanefit runs stop, or Kubeflow's page"
TOLD_TO_STOP = ("exceeded workflow deadline", "Stopped with strategy", "shutdown with strategy")  # in Argo's messages
CLOCKS_APART = 60.0  # seconds that the clocks of Kubeflow and of a node may differ
NOTHING = "it ended without a word; see its log"


@dataclass(frozen=True)
class Failure:
    """The step that failed first and its reason; either may be empty when nobody says. ``stopped``: it was."""

    step: str
    reason: str
    stopped: bool = False

    def line(self) -> str:
        """For the user."""
        if not self.step:
            return self.reason or "Kubeflow gives no reason"
        return f"{self.step}: {self.reason or NOTHING}"


@dataclass(frozen=True)
class Ending:
    """How a run ended: ``state`` for the user, and why it did not succeed."""

    state: str
    failure: Failure | None


def ending_of(kubeflow: Kubeflow, run: Any, record: RunRecord, workflow: Workflow | None) -> Ending:
    """How a run ended, and why.

    Args:
        kubeflow: the connection.
        run: with its tasks.
        record: what the run said of itself.
        workflow: Argo's, where it can be had.
    """
    if run.state == SUCCEEDED:
        return Ending(state_of(run), None)
    failure = failure_of(kubeflow, run, record, workflow)
    return Ending(STOPPED if failure.stopped else state_of(run), failure)


def failure_of(kubeflow: Kubeflow, run: Any, record: RunRecord, workflow: Workflow | None) -> Failure:
    """What went wrong in a run that did not succeed; arguments as for ``ending_of``."""
    if why := _why_stopped(run, workflow):
        return Failure("", why, stopped=True)
    if said := _from_record(run, record):
        return said
    steps = steps_of_workflow(workflow) if workflow else steps_of(run)
    failed = [step for step in steps if step.state == FAILED]
    failed.sort(key=lambda step: (step.name == CLOSE_RUN, step.ended is None, step.ended))
    if not failed:
        return Failure("", record.failure or _of_the_run(run) or (workflow.message if workflow else ""))
    return _failure_of_step(kubeflow, run, failed[0], record)


def _why_stopped(run: Any, workflow: Workflow | None) -> str:
    """By what a run was stopped; empty when it was not."""
    if was_told_to_stop(run) or (workflow and workflow.deadline == 0):
        return ON_REQUEST
    if workflow:
        said = [workflow.message, *(node.message for node in workflow.nodes)]
    else:
        said = [error_text(run.error), *(error_text(task.error) for task in tasks_of(run))]
    message = next((text for text in said if any(mark in text for mark in TOLD_TO_STOP)), "")
    if not message:
        return ""
    if workflow and workflow.deadline:
        return f"by its time limit, cluster.run_timeout_seconds={workflow.deadline} (Argo says: {message})"
    return f"on request or by its time limit, now or before it was retried (Argo says: {message})"


def _from_record(run: Any, record: RunRecord) -> Failure | None:
    """The step that failed first since the run began, the last time that it did."""
    began = last_began(run)
    since = began.timestamp() - CLOCKS_APART if began else 0.0
    failed = [step for step in record.steps if step.state == "failed" and (step.ended or 0.0) >= since]
    if not failed:
        return None
    first = min(failed, key=lambda step: (step.step == CLOSE_RUN, step.ended))
    return Failure(first.step, first.reason)


def _failure_of_step(kubeflow: Kubeflow, run: Any, step: Step, record: RunRecord) -> Failure:
    """Argo's word for a container that did not start or was killed, else the step's own in its log."""
    if step.error:
        return Failure(step.name, step.error)
    lines = log_of(kubeflow, run, step)
    said = [error for line in lines if isinstance(error := read_line(line), StepError)]
    if said:
        return Failure(said[-1].step, said[-1].message)
    return Failure(step.name, record.failure or _last_error(lines) or _of_the_run(run))


def _last_error(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if "Error" in line), "")


def _of_the_run(run: Any) -> str:
    """The innermost error: that of the task which began last, else the run's."""
    failed = [task for task in tasks_of(run) if task.state == FAILED and error_text(task.error)]
    failed.sort(key=lambda task: (task.start_time is not None, task.start_time))
    history = [error_text(status.error) for status in run.state_history or ()]
    said = [*history, error_text(run.error), *(error_text(task.error) for task in failed)]
    return next((text for text in reversed(said) if text), "")
