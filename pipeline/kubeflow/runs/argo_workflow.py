"""Argo's workflow of a run, which Kubeflow's older API (v1beta1) gives as it was reported last.

It names every pod and says why one did not start or was stopped; the tasks of API v2beta1 do neither. It is complete
where those are frozen: above 1 MiB Argo compresses the nodes, and Kubeflow makes no tasks of them any more.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError

PATH = "/apis/v1beta1/runs/{run_id}"
POD_NAMES = "workflows.argoproj.io/pod-name-format"
TRY = re.compile(r"\(\d+\)$")  # what Argo puts behind the name of a node that may be tried again
# Of a container that ran and failed: its log says more.
SAYS_NOTHING = re.compile(r"((main|wait): )?Error \(exit code \d+\)|No more retries left|child '.*' failed|")


@dataclass(frozen=True)
class Node:
    """One of Argo's nodes.

    ``path``: names on the way to it, joined by dots, the workflow's first, without the numbers of tries. ``kind``: as
    ``Pod``, ``DAG`` or ``Retry``. ``phase``: as ``Pending`` or ``Failed``. ``pod``: what its pod is called.
    """

    path: str
    kind: str
    phase: str
    message: str
    started: datetime | None
    ended: datetime | None
    pod: str

    @property
    def why(self) -> str:
        """What its message says beyond that it failed; empty when that is all."""
        return "" if SAYS_NOTHING.fullmatch(self.message) else self.message


@dataclass(frozen=True)
class Workflow:
    """``deadline``: seconds that it may take; 0 once it is told to stop, None without one."""

    message: str
    deadline: int | None
    nodes: list[Node]


def read_workflow(kubeflow: Kubeflow, run_id: str) -> Workflow | None:
    """The workflow of a run; None where Kubeflow does not give it."""
    try:
        answer = kubeflow.call("get runs", _get, kubeflow, run_id)
        return workflow_from(json.loads(answer["pipeline_runtime"]["workflow_manifest"]))
    except (KubeflowError, KeyError, TypeError, ValueError, AttributeError, EOFError, OSError):
        return None


def workflow_from(manifest: Mapping[str, Any]) -> Workflow:
    """Read a workflow.

    Args:
        manifest: as Kubernetes has it.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, EOFError, OSError: when it is none.
    """
    status = manifest.get("status") or {}
    nodes = status.get("nodes") or _decompressed(status.get("compressedNodes") or "")
    name_of_pod = _pod_namer(manifest["metadata"])
    return Workflow(
        message=_one_line(status.get("message")),
        deadline=(manifest.get("spec") or {}).get("activeDeadlineSeconds"),
        nodes=[_node(node, name_of_pod(node)) for node in nodes.values()],
    )


def plain_path(name: str) -> str:
    """The name of a node without the numbers of tries: Kubeflow's installation lets every node be tried again."""
    return ".".join(TRY.sub("", part) for part in name.split("."))


def _get(kubeflow: Kubeflow, run_id: str, **options: Any) -> Any:
    return kubeflow.client.call_api(
        PATH,
        "GET",
        path_params={"run_id": run_id},
        header_params={"Accept": "application/json"},
        response_type="object",
        auth_settings=["Bearer"],
        _return_http_data_only=True,
        **options,
    )


def _decompressed(nodes: str) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(base64.b64decode(nodes)))) if nodes else {}


def _pod_namer(metadata: Mapping[str, Any]) -> Any:
    """As Argo names pods, in the form that the workflow says."""
    workflow = metadata["name"]
    by_id = (metadata.get("annotations") or {}).get(POD_NAMES) == "v1"

    def name_of(node: Mapping[str, Any]) -> str:
        number = str(node["id"]).rsplit("-", 1)[-1]
        return str(node["id"]) if by_id else f"{workflow}-{node.get('templateName', '')}-{number}"

    return name_of


def _node(node: Mapping[str, Any], pod: str) -> Node:
    return Node(
        path=plain_path(node["name"]),
        kind=str(node.get("type", "")),
        phase=str(node.get("phase", "")),
        message=_one_line(node.get("message")),
        started=_time(node.get("startedAt")),
        ended=_time(node.get("finishedAt")),
        pod=pod,
    )


def _one_line(message: str | None) -> str:
    return " ".join((message or "").split())


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
