"""A run's tasks as Kubeflow 2.14 to 2.17 gives them (Argo's nodes, without their own ids), and Argo's workflow.

The nodes follow from the compiled pipeline, as the server's compiler makes them of it.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

ROUNDS = 40  # of a loop
NEVER = "0001-01-01T00:00:00Z"
BEGAN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TRY = re.compile(r"\(\d+\)$")
PHASES = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "RUNNING": "Running", "PENDING": "Pending"}


@dataclass(frozen=True)
class Node:
    """``turn``: when its container task runs, counted in container tasks; side by side, where they wait for the same.

    ``plain``: its path without the numbers of tries. ``kind``: Argo's type; ``pod_kind``: the template of a step's pod.
    """

    name: str
    path: str
    parent: str
    turn: int
    kind: str
    pod_kind: str = ""

    @property
    def plain(self) -> str:
        return ".".join(TRY.sub("", part) for part in self.path.split("."))


def node_id(workflow: str, path: str) -> str:
    """As in Argo, from its description: FNV-1a, 32 bits."""
    if path == workflow:
        return workflow
    value = 2166136261
    for byte in path.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def container_tasks(spec: dict[str, Any]) -> list[str]:
    """Paths of the container tasks below the root, in turn, without the numbers of tries."""
    return [node.plain.removesuffix(".executor") for node in nodes_of(spec, "w") if node.name == "executor"]


def nodes_of(spec: dict[str, Any], workflow: str, tried: bool = True) -> list[Node]:
    """All nodes of a run that goes to its end, in the order in which they begin.

    ``tried``: as by the configuration of Argo's controller that comes with Kubeflow 2.17, which has every node tried
    again when it ends in an error: each then stands beside a node of that kind, with the number of the try.
    """
    compiler = _Nodes(spec, tried)
    return [
        *compiler.whole(workflow, workflow, "", "DAG"),
        *compiler.dag(spec["root"]["dag"], f"{compiler.inside(workflow)}.root", compiler.inside(workflow)),
    ]


class _Nodes:
    def __init__(self, spec: dict[str, Any], tried: bool) -> None:
        self.spec, self.tried, self.turn = spec, tried, 0

    def inside(self, path: str) -> str:
        """Where what is in a node stands."""
        return f"{path}(0)" if self.tried else path

    def whole(self, name: str, path: str, parent: str, kind: str) -> Iterator[Node]:
        """A node, and its first try where nodes are tried again."""
        if self.tried:
            yield Node(name, path, parent, self.turn, "Retry")
            yield Node(f"{name}(0)", f"{path}(0)", path, self.turn, kind)
        else:
            yield Node(name, path, parent, self.turn, kind)

    def dag(self, dag: dict[str, Any], path: str, parent: str) -> Iterator[Node]:
        name = path.rsplit(".", 1)[-1]
        yield from self.whole(f"{name}-driver", f"{path}-driver", parent, "Pod")
        yield from self.whole(name, path, parent, "DAG")
        hooks = [name for name, task in dag["tasks"].items() if task.get("triggerPolicy", {}).get("strategy")]
        for together in _in_order({name: task for name, task in dag["tasks"].items() if name not in hooks}):
            turn = ended = self.turn
            for name, task in together.items():
                self.turn = turn
                yield from self.task(name, task, self.inside(path))
                ended = max(ended, self.turn)
            self.turn = ended
        for name in hooks:  # Argo gives the exit task to a hook, whose name is not made like the others
            guarded = next(iter(dag["tasks"][name]["dependentTasks"]))
            hook = f"{self.inside(path)}.{guarded}.onExit"
            yield from self.whole(f"{guarded}.onExit", hook, f"{self.inside(path)}.{guarded}", "DAG")
            yield from self.task(name, dag["tasks"][name], self.inside(hook))

    def task(self, name: str, task: dict[str, Any], parent: str) -> Iterator[Node]:
        component = self.spec["components"][task["componentRef"]["name"]]
        path = f"{parent}.{name}"
        if "parameterIterator" in task:
            yield from self.loop(name, component["dag"], path, parent)
        elif "dag" in component:
            yield from self.dag(component["dag"], path, parent)
        else:
            yield from self.container(name, task, component, path, parent)

    def loop(self, name: str, dag: dict[str, Any], path: str, parent: str) -> Iterator[Node]:
        turn, inside = self.turn, self.inside(path)
        yield from self.whole(name, path, parent, "DAG")
        yield from self.whole("iteration-driver", f"{inside}.iteration-driver", inside, "Pod")
        yield Node("iteration-iterations", f"{inside}.iteration-iterations", inside, turn, "TaskGroup")
        ended = turn
        for index in range(ROUNDS):
            self.turn = turn
            one = f"iteration-iterations({index}:{index})"
            yield from self.whole(one, f"{inside}.{one}", f"{inside}.iteration-iterations", "DAG")
            below = self.inside(f"{inside}.{one}")
            yield from self.dag(dag, f"{below}.iteration-item", below)
            ended = self.turn
        self.turn = ended

    def container(
        self, name: str, task: dict[str, Any], component: dict[str, Any], path: str, parent: str
    ) -> Iterator[Node]:
        kind = "system-container-impl"
        if "retryPolicy" in task:
            kind = f"retry-{kind}"
        executors = self.spec.get("kubernetes", {})
        labels = executors.get(component["executorLabel"], {}).get("podMetadata", {}).get("labels", {})
        if labels:
            kind = f"metadata-0-{len(labels)}-{kind}"
        yield from self.whole(f"{name}-driver", f"{path}-driver", parent, "Pod")
        yield from self.whole(name, path, parent, "DAG")
        inside = self.inside(path)
        if self.tried or "retryPolicy" in task:
            yield Node("executor", f"{inside}.executor", inside, self.turn, "Retry")
            yield Node("executor(0)", f"{inside}.executor(0)", f"{inside}.executor", self.turn, "Pod", kind)
        else:
            yield Node("executor", f"{inside}.executor", inside, self.turn, "Pod", kind)
        self.turn += 1


def _in_order(tasks: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that can begin at once, then those that can begin after them, and so on."""
    done: set[str] = set()
    while len(done) < len(tasks):
        waiting = {name: task for name, task in tasks.items() if name not in done}
        ready = {name: task for name, task in waiting.items() if done.issuperset(task.get("dependentTasks", ()))}
        yield ready
        done |= {*ready}


@dataclass(frozen=True)
class Progress:
    """How far a run is: ``done`` container tasks succeeded; ``failed``: the end of the path of one that then failed.

    ``messages``: what Argo says of nodes, by the end of their paths; a pod that has one, and did not fail, is pending.
    """

    done: int
    failed: str = ""
    messages: Mapping[str, str] | None = None


def task_details(nodes: list[Node], run_id: str, progress: Progress) -> list[Any]:
    """The tasks of API v2beta1."""
    states = _states(nodes, progress)
    workflow = nodes[0].name
    shown = [node for node in nodes if states[node.path] is not None]
    below: dict[str, list[str]] = {}
    for node in shown:
        below.setdefault(node.parent, []).append(node_id(workflow, node.path))
    return [
        _detail(node, run_id, str(states[node.path]), below.get(node.path, [])) for node in sorted(shown, key=_mixed)
    ]


def workflow_manifest(
    nodes: list[Node], progress: Progress, *, deadline: int | None, message: str, compressed: bool
) -> dict[str, Any]:
    """What API v1beta1 gives: the workflow, as Kubernetes had it; its nodes are compressed when they are many."""
    workflow = nodes[0].name
    states = _states(nodes, progress)
    shown = [node for node in nodes if states[node.path] not in (None, "RUNTIME_STATE_UNSPECIFIED")]
    status = {
        node_id(workflow, node.path): _status(node, workflow, str(states[node.path]), _message(node, progress))
        for node in shown
    }
    packed = base64.b64encode(gzip.compress(json.dumps(status).encode())).decode()
    return {
        "metadata": {"name": workflow, "annotations": {"workflows.argoproj.io/pod-name-format": "v2"}},
        "spec": {} if deadline is None else {"activeDeadlineSeconds": deadline},
        "status": {"message": message, **({"compressedNodes": packed} if compressed else {"nodes": status})},
    }


def pod_of(nodes: list[Node], task: str) -> str:
    """The pod's name of the last try of the task at the end of a path."""
    workflow = nodes[0].name
    pod = [node for node in nodes if node.pod_kind and node.plain.endswith(f".{task}.executor")][-1]
    number = node_id(workflow, pod.path).rsplit("-", 1)[1]
    return f"{workflow}-{pod.pod_kind}-{number}"


def _states(nodes: list[Node], progress: Progress) -> dict[str, str | None]:
    broken = [node.plain for node in nodes if progress.failed and node.plain.endswith(f".{progress.failed}")]
    last: dict[str, int] = {}  # turn of what is inside a node
    for node in nodes:
        parts = node.plain.split(".")
        for length in range(1, len(parts) + 1):
            place = ".".join(parts[:length])
            last[place] = max(last.get(place, 0), node.turn)
    return {node.path: _state(node, last[node.plain], progress, broken) for node in nodes}


def _state(node: Node, last: int, progress: Progress, broken: list[str]) -> str | None:
    done = progress.done
    is_driver = TRY.sub("", node.name).endswith("-driver")
    if broken:
        if any(
            path == node.plain or path.startswith(f"{node.plain}.") or node.plain.startswith(f"{path}.")
            for path in broken
        ):
            return "FAILED"
        return "SUCCEEDED" if node.turn < done or is_driver else "RUNTIME_STATE_UNSPECIFIED"
    if node.turn > done or (node.name == "executor(0)" and node.turn >= done + 1):
        return None
    if is_driver:
        return "SUCCEEDED"
    if last < done:
        return "SUCCEEDED"
    return "PENDING" if node.pod_kind and _message(node, progress) else "RUNNING"


def _message(node: Node, progress: Progress) -> str:
    if node.kind != "Pod":
        return ""
    said = progress.messages or {}
    plain = node.plain.removesuffix(".executor")
    return next((text for end, text in said.items() if plain.endswith(f".{end}")), "")


def _status(node: Node, workflow: str, state: str, message: str) -> dict[str, Any]:
    detail = _detail(node, "", state, [])
    times = {"startedAt": detail["start_time"]} | (
        {"finishedAt": detail["end_time"]} if detail["end_time"] != NEVER else {"finishedAt": None}
    )
    return {
        "id": node_id(workflow, node.path),
        "name": node.path,
        "displayName": node.name,
        "type": node.kind,
        "phase": PHASES[state],
        **({"message": message} if message else {}),
        **({"templateName": node.pod_kind or "system-container-driver"} if node.kind == "Pod" else {}),
        **times,
    }


def _detail(node: Node, run_id: str, state: str, below: list[str]) -> dict[str, Any]:
    began = BEGAN + timedelta(seconds=10 * node.turn)
    ended = (began + timedelta(seconds=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "run_id": run_id,
        "task_id": hashlib.sha1(node.path.encode()).hexdigest()[:32],
        "display_name": node.name,
        "create_time": BEGAN.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "start_time": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "end_time": ended if state in ("SUCCEEDED", "FAILED") else NEVER,
        "state": state,
        "state_history": [{"update_time": began.strftime("%Y-%m-%dT%H:%M:%SZ"), "state": state}],
        **({"child_tasks": [{"pod_name": child} for child in below]} if below else {}),
    }


def _mixed(node: Node) -> str:
    """The server's order says nothing."""
    return hashlib.md5(node.path.encode()).hexdigest()
