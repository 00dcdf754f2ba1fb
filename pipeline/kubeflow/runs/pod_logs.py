"""The logs of a run's pods, as far as Kubeflow has them: while the pod is there, or its archived log."""

from collections.abc import Iterator
from typing import Any

from kfp_server_api import ApiException  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from sanefit.components.foundation.errors import SanefitError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.run_steps import EXECUTOR, Step, tasks_of
from sanefit.pipeline.kubeflow.runs.workflow_nodes import node_id, node_paths

LOG_PATH = "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"
LOG_BYTES = 64 * 1024
LONGEST_LOG = 16 * 1024 * 1024
POD_TEMPLATES = ("system-container-impl", "retry-system-container-impl")
NO_LOG = '{"error_message"'  # how an answer begins, with status 200, that is none
LABELED = ("metadata-0-1-", "metadata-0-2-")  # pods in a queue have labels, which Kubeflow counts


def log_of(kubeflow: Kubeflow, run: Any, step: Step) -> list[str]:
    """The last lines that a step's pod printed; none when its log cannot be had.

    Args:
        kubeflow: the connection.
        run: with its tasks.
        step: with its pod, or else its path.
    """
    logs = (_log(kubeflow, str(run.run_id), pod) for pod in ([step.pod] if step.pod else _pods(run, step)))
    return next((text.splitlines() for text in logs if text), [])


def _pods(run: Any, step: Step) -> Iterator[str]:
    """The names that the pod of a step's last try may have; Argo puts the kind of pod into it."""
    tasks = tasks_of(run)
    paths = node_paths(tasks)
    tries = [path for path in paths.values() if step.path and path.startswith((f"{step.path}.", f"{step.path}("))]
    tries = [path for path in tries if path.rsplit(".", 1)[-1].startswith(EXECUTOR)]
    if not tries:
        return
    tries.sort(key=lambda path: (len(path), path))
    workflow = tries[-1].partition(".")[0].partition("(")[0]
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
    text = end.decode(errors="replace")
    return "" if text.startswith(NO_LOG) else text
