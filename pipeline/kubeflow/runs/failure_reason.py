"""Why a run on the cluster failed.

Kubeflow 2.14 to 2.17 says which task failed, not why. A step says why in its log, in a line that
a run on this machine reads too, so the log is read where the API gives no reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kfp_server_api import ApiException  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from sanefit.components.foundation.errors import SanefitError
from sanefit.components.foundation.step_lines.line_forms import StepError
from sanefit.components.foundation.step_lines.reading import read_line
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.run_states import FAILED
from sanefit.pipeline.kubeflow.runs.run_steps import Step, error_text, steps_of, tasks_of
from sanefit.pipeline.kubeflow.runs.workflow_nodes import node_id, node_paths
from sanefit.pipeline.task_names import CLOSING, STEPS

LOG_PATH = "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"
LOG_BYTES = 64 * 1024
LONGEST_LOG = 16 * 1024 * 1024
POD_TEMPLATES = ("system-container-impl", "retry-system-container-impl")
LABELED = ("metadata-0-1-", "metadata-0-2-")  # pods in a queue have labels, which Kubeflow counts


@dataclass(frozen=True)
class Failure:
    """The step that failed first and its reason; either may be empty when nobody says."""

    step: str
    reason: str

    def line(self) -> str:
        """For the user."""
        if not self.step:
            return self.reason or "Kubeflow gives no reason"
        return f"{self.step}: {self.reason or 'it ended without a word; see its log'}"


def failure_of(kubeflow: Kubeflow, run: Any) -> Failure:
    """What went wrong in a run that failed.

    Args:
        kubeflow: the connection.
        run: with its tasks.
    """
    failed = [step for step in steps_of(run) if step.state == FAILED]
    failed.sort(key=lambda step: (step.name == STEPS[CLOSING], step.ended is None, step.ended))
    if not failed:
        return Failure("", _of_the_run(run))
    step = failed[0]
    return Failure(step.name, step.error or _from_log(kubeflow, run, step) or _of_the_run(run))


def _of_the_run(run: Any) -> str:
    """The innermost error: that of the task which began last, else the run's."""
    failed = [task for task in tasks_of(run) if task.state == FAILED and error_text(task.error)]
    failed.sort(key=lambda task: (task.start_time is not None, task.start_time))
    history = [error_text(status.error) for status in run.state_history or ()]
    said = [*history, error_text(run.error), *(error_text(task.error) for task in failed)]
    return next((text for text in reversed(said) if text), "")


def _from_log(kubeflow: Kubeflow, run: Any, step: Step) -> str:
    for pod in _pods(run, step):
        lines = _log(kubeflow, str(run.run_id), pod).splitlines()
        said = [error.message for line in lines if isinstance(error := read_line(line), StepError)]
        if said:
            return said[-1]
        errors = [line.strip() for line in lines if "Error" in line]
        if errors:
            return errors[-1]
    return ""


def _pods(run: Any, step: Step) -> Iterator[str]:
    """The names that the pod of a step's last try may have; Argo puts the kind of pod into it."""
    paths = node_paths(tasks_of(run))
    tries = [path for path in paths.values() if step.path and path.startswith(f"{step.path}.executor")]
    tries.sort(key=lambda path: (len(path), path))
    if not tries:
        return
    workflow = tries[-1].split(".")[0]
    node = node_id(workflow, tries[-1])
    number = node.rsplit("-", 1)[1]
    for prefix in ("", *LABELED):
        yield from (f"{workflow}-{prefix}{template}-{number}" for template in POD_TEMPLATES)
    yield node


def _log(kubeflow: Kubeflow, run_id: str, pod: str) -> str:
    """The end of a pod's log; empty when it cannot be had."""
    try:
        response = kubeflow.client.call_api(
            LOG_PATH,
            "GET",
            path_params={"run_id": run_id, "node_id": pod},
            auth_settings=["Bearer"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=kubeflow.timeout,
        )
        end, read = b"", 0
        while read < LONGEST_LOG and (part := response.read(LOG_BYTES)):
            end, read = (end + part)[-LOG_BYTES:], read + len(part)
        response.release_conn()
    except (ApiException, HTTPError, SanefitError, AttributeError):
        return ""
    return end.decode(errors="replace")
