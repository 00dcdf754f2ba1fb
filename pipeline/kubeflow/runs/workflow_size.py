"""How large Argo's workflow of a run will be, which may not exceed 1 MiB.

Kubeflow makes a workflow of the compiled pipeline. Argo adds a node for each pod (a task has two: its driver and its
executor), for each task, and for each of their tries, with all that they were given; above 1 MiB it compresses the
nodes, and stops a run whose workflow is larger even so. Here the nodes are made up from the compiled pipeline, and
compressed. Beside a workflow that Kubeflow 2.17 and Argo 4.0 ran, such nodes come out a sixth too small with 2 packs in
each stage, and as large as they were with 16 (tests/pipeline/kubeflow/test_workflow_size.py).
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.kubeflow.runs.workflow_nodes import node_id

LIMIT = 1024 * 1024  # bytes: Argo's MAX_WORKFLOW_SIZE, and about what etcd takes
WORKFLOW = "sanefit-training-abcde"
OF_EVERY_WORKFLOW = 30_000  # bytes: Kubeflow's templates, metadata
OF_A_TASK = 1_250  # bytes in the templates for driver and executor, beside what the compiled task says
REFERENCE = 230  # bytes of a text that one step hands to another
POD = 1_700  # bytes of an executor's pod beside its container, its component and what it is given


@dataclass(frozen=True)
class WorkflowNode:
    """``path``: its name below the workflow's. ``kind``: Argo's type. ``given``: texts that it keeps, by name."""

    path: str
    kind: str
    given: Mapping[str, str]


@dataclass(frozen=True)
class CompiledPipeline:
    """Both documents of a compiled pipeline; ``rounds``: of each loop."""

    pipeline: Mapping[str, Any]
    platform: Mapping[str, Any]
    rounds: int

    @property
    def components(self) -> Mapping[str, Any]:
        """By name."""
        return self.pipeline["components"]  # type: ignore[no-any-return]

    @property
    def containers(self) -> dict[str, Any]:
        """By executor."""
        executors = self.pipeline["deploymentSpec"]["executors"]
        return {label: executor["container"] for label, executor in executors.items()}

    @property
    def pods(self) -> Mapping[str, Any]:
        """What each executor's pod gets of Kubernetes."""
        return self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]  # type: ignore[no-any-return]

    @property
    def inputs(self) -> dict[str, Any]:
        """Parameters of the pipeline."""
        given = self.pipeline["root"]["inputDefinitions"]["parameters"]
        return {name: parameter.get("defaultValue", "") for name, parameter in given.items()}


def require_fit(compiled: Path, packs: int) -> None:
    """Refuse a pipeline whose workflow would be too large.

    Args:
        compiled: the file.
        packs: of a stage.

    Raises:
        SettingsError: with the largest number of packs that fits.
    """
    pipeline, platform = yaml.safe_load_all(compiled.read_bytes())
    known = CompiledPipeline(pipeline, platform, packs)
    size = workflow_bytes(known)
    if size <= LIMIT:
        return
    most = _most_packs(known)
    raise SettingsError(
        f"search.packs={packs}: Argo's workflow of such a run would have about {size // 1024:,} KiB; expected at most "
        f"{LIMIT // 1024:,} KiB, for which {most} packs in each stage are few enough; set search.packs={most}: each "
        "then has more trials"
    )


def workflow_bytes(compiled: CompiledPipeline) -> int:
    """The size of the workflow of a run that has gone to its end, its nodes compressed."""
    return specification_bytes(compiled) + compressed_bytes(list(nodes_of(compiled)))


def specification_bytes(compiled: CompiledPipeline) -> int:
    """Components and containers that are equal are kept once, each task and the pod of each component for itself."""
    components = [compiled.pipeline["root"], *compiled.components.values()]
    kept = {_text(part) for part in [*components, *compiled.containers.values()]}
    tasks = [task for component in components for task in component.get("dag", {}).get("tasks", {}).values()]
    own = [*kept, *map(_text, compiled.pods.values()), *map(_text, tasks)]
    return OF_EVERY_WORKFLOW + sum(len(json.dumps(text)) for text in own) + OF_A_TASK * len(tasks)


def compressed_bytes(nodes: Sequence[WorkflowNode]) -> int:
    """Of nodes as Argo keeps them: JSON by id, gzip, base64."""
    below: dict[str, list[str]] = {}
    for node in nodes:
        below.setdefault(node.path.rpartition(".")[0], []).append(_id(node.path))
    statuses = {_id(node.path): _status(node, below.get(node.path, [])) for node in nodes}
    written = json.dumps(statuses, sort_keys=True, separators=(",", ":")).encode()
    return len(base64.b64encode(gzip.compress(written, 6)))


def nodes_of(compiled: CompiledPipeline) -> Iterator[WorkflowNode]:
    """The nodes of a run that has gone to its end: each stands beside its first try."""
    root = compiled.pipeline["root"]
    yield from _tried("root-driver", "Pod", {"component": _text(root), "runtime-config": _text(compiled.inputs)})
    yield from _group(compiled, "root", root["dag"])


def _most_packs(compiled: CompiledPipeline) -> int:
    fits, fails = 1, compiled.rounds
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if workflow_bytes(replace(compiled, rounds=middle)) <= LIMIT:
            fits = middle
        else:
            fails = middle
    return fits


def _group(compiled: CompiledPipeline, path: str, dag: Mapping[str, Any]) -> Iterator[WorkflowNode]:
    yield from _tried(path, "DAG", {"parent-dag-id": "12"})
    for name, task in dag["tasks"].items():
        yield from _task(compiled, f"{path}(0).{name}", task)


def _task(compiled: CompiledPipeline, path: str, task: Mapping[str, Any]) -> Iterator[WorkflowNode]:
    component = compiled.components[task["componentRef"]["name"]]
    if "parameterIterator" in task:
        yield from _loop(compiled, path, component, task)
    elif "dag" in component:
        yield from _tried(f"{path}-driver", "Pod", {"component": _text(component), "task": _text(task)})
        yield from _group(compiled, path, component["dag"])
    else:
        yield from _container(compiled, path, component, task)


def _loop(
    compiled: CompiledPipeline, path: str, component: Mapping[str, Any], task: Mapping[str, Any]
) -> Iterator[WorkflowNode]:
    given = {"component": _text(component), "task": _text(task)}
    yield from _tried(path, "DAG", {"parent-dag-id": "12"})
    yield from _tried(f"{path}(0).iteration-driver", "Pod", given)
    for index in range(compiled.rounds):
        one = f"{path}(0).iteration-iterations({index}:{index})"
        yield from _tried(one, "DAG", {"parent-dag-id": "12", "iteration-index": str(index)})
        yield from _tried(f"{one}(0).iteration-item-driver", "Pod", given)
        yield from _group(compiled, f"{one}(0).iteration-item", component["dag"])


def _container(
    compiled: CompiledPipeline, path: str, component: Mapping[str, Any], task: Mapping[str, Any]
) -> Iterator[WorkflowNode]:
    label = component["executorLabel"]
    told = {name: _value(compiled, name, source) for name, source in task["inputs"]["parameters"].items()}
    container, pod = _text(compiled.containers[label]), _text(compiled.pods.get(label, {}))
    # The command holds the component, and what it is given.
    patch = container + json.dumps(_text(component)) + json.dumps(_text(told)) + _text(compiled.pipeline["root"])[:POD]
    ran = {"pod-spec-patch": patch, "cached-decision": "false"}
    given = {"component": _text(component), "task": _text(task), "container": container, "kubernetes-config": pod}
    yield from _tried(f"{path}-driver", "Pod", {**given, **ran})
    yield from _tried(path, "DAG", ran)
    yield from _tried(f"{path}(0).executor", "Pod", ran)


def _value(compiled: CompiledPipeline, name: str, source: Mapping[str, Any]) -> Any:
    if "runtimeValue" in source:
        return source["runtimeValue"]["constant"]
    given = source.get("componentInputParameter", "")
    if given.endswith("-loop-item"):
        return compiled.rounds
    known = compiled.inputs.get(given.rpartition("--")[2])
    return hashlib.sha256(name.encode()).hexdigest().ljust(REFERENCE, "/") if known is None else known


def _tried(path: str, kind: str, given: Mapping[str, str]) -> Iterator[WorkflowNode]:
    yield WorkflowNode(path, "Retry", given)
    yield WorkflowNode(f"{path}(0)", kind, given)


def _status(node: WorkflowNode, below: Sequence[str]) -> dict[str, Any]:
    """What Argo keeps of a node; times and the like, which differ from node to node, follow from its path."""
    drawn = int(hashlib.sha256(node.path.encode()).hexdigest()[:12], 16)
    parent, _, name = node.path.rpartition(".")
    log = {"name": "main-logs", "s3": {"key": f"{WORKFLOW}/{_id(node.path)}/main.log"}}
    return {
        "id": _id(node.path),
        "name": f"{WORKFLOW}.{node.path}",
        "displayName": name,
        "type": node.kind,
        "phase": "Succeeded",
        "progress": "1/1",
        "boundaryID": _id(parent),
        "templateName": "system-container-driver" if "-driver" in name else "retry-system-container-impl",
        "templateScope": f"local/{WORKFLOW}",
        "startedAt": f"2026-01-01T{drawn % 24:02}:{drawn // 24 % 60:02}:{drawn // 1440 % 60:02}Z",
        "finishedAt": f"2026-01-01T{drawn % 23:02}:{drawn // 23 % 60:02}:{drawn // 1380 % 60:02}Z",
        "resourcesDuration": {"cpu": drawn % 97, "memory": drawn % 991},
        "inputs": {"parameters": [{"name": name, "value": value} for name, value in node.given.items()]},
        "nodeFlag": {"retried": True},
        **({"children": list(below), "outboundNodes": list(below[-1:])} if below else {}),
        **({"hostNodeName": f"node-{drawn % 50}", "outputs": {"artifacts": [log]}} if node.kind == "Pod" else {}),
    }


def _id(path: str) -> str:
    return node_id(WORKFLOW, f"{WORKFLOW}.{path}" if path else WORKFLOW)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
