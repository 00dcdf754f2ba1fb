"""Task details of a run as a Kubeflow 2.14 to 2.17 server gives them: Argo's nodes, without their own ids.

The nodes follow from the compiled pipeline, as the server's compiler makes them of it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NEVER = "0001-01-01T00:00:00Z"
BEGAN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Node:
    """``turn``: when its container task runs, counted in container tasks; those of one loop run side by side."""

    name: str
    path: str
    parent: str
    turn: int
    pod_kind: str = ""


def node_id(workflow: str, path: str) -> str:
    """As in Argo, from its description: FNV-1a, 32 bits."""
    if path == workflow:
        return workflow
    value = 2166136261
    for byte in path.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def container_tasks(spec: dict[str, Any], packs: int = 2) -> list[str]:
    """Paths of the container tasks below the root, in turn."""
    return [node.path.removesuffix(".executor") for node in nodes_of(spec, "w", packs) if node.name == "executor"]


def nodes_of(spec: dict[str, Any], workflow: str, packs: int) -> list[Node]:
    """All nodes of a run that goes to its end, in the order in which they begin."""
    compiler = _Nodes(spec, packs)
    return [Node(workflow, workflow, "", 0), *compiler.dag(spec["root"]["dag"], f"{workflow}.root", workflow)]


class _Nodes:
    def __init__(self, spec: dict[str, Any], packs: int) -> None:
        self.spec, self.packs, self.turn = spec, packs, 0

    def dag(self, dag: dict[str, Any], path: str, parent: str) -> Iterator[Node]:
        yield Node(f"{path.rsplit('.', 1)[-1]}-driver", f"{path}-driver", parent, self.turn)
        yield Node(path.rsplit(".", 1)[-1], path, parent, self.turn)
        hooks = [name for name, task in dag["tasks"].items() if task.get("triggerPolicy", {}).get("strategy")]
        for name, task in _in_order(dag["tasks"]):
            if name not in hooks:
                yield from self.task(name, task, path)
        for name in hooks:  # Argo gives the exit task to a hook, whose name is not made like the others
            guarded = next(iter(dag["tasks"][name]["dependentTasks"]))
            hook = f"{path}.{guarded}.onExit"
            yield Node(f"{guarded}.onExit", hook, f"{path}.{guarded}", self.turn)
            yield from self.task(name, dag["tasks"][name], hook)

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
        turn = self.turn
        yield Node(name, path, parent, turn)
        yield Node("iteration-driver", f"{path}.iteration-driver", path, turn)
        yield Node("iteration-iterations", f"{path}.iteration-iterations", path, turn)
        ended = turn
        for index in range(self.packs):
            self.turn = turn
            one = f"iteration-iterations({index}:{index})"
            yield Node(one, f"{path}.{one}", f"{path}.iteration-iterations", turn)
            yield from self.dag(dag, f"{path}.{one}.iteration-item", f"{path}.{one}")
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
        yield Node(f"{name}-driver", f"{path}-driver", parent, self.turn)
        yield Node(name, path, parent, self.turn)
        if "retryPolicy" in task:
            yield Node("executor", f"{path}.executor", path, self.turn)
            yield Node("executor(0)", f"{path}.executor(0)", f"{path}.executor", self.turn, kind)
        else:
            yield Node("executor", f"{path}.executor", path, self.turn, kind)
        self.turn += 1


def _in_order(tasks: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = [name for name in tasks if name not in done and done.issuperset(tasks[name].get("dependentTasks", ()))]
        for name in ready:
            yield name, tasks[name]
        done |= {*ready}


def task_details(spec: dict[str, Any], run_id: str, workflow: str, done: int, failed: str, packs: int) -> list[Any]:
    """The tasks after ``done`` container tasks succeeded; ``failed`` is the end of the path of one that then failed."""
    nodes = nodes_of(spec, workflow, packs)
    broken = [node.path for node in nodes if failed and node.path.endswith(f".{failed}")]
    states = {node.path: _state(node, nodes, done, broken) for node in nodes}
    shown = [node for node in nodes if states[node.path] is not None]
    below: dict[str, list[str]] = {}
    for node in shown:
        below.setdefault(node.parent, []).append(node_id(workflow, node.path))
    return [
        _detail(node, run_id, str(states[node.path]), below.get(node.path, [])) for node in sorted(shown, key=_mixed)
    ]


def pod_of(spec: dict[str, Any], workflow: str, task: str, packs: int = 2) -> str:
    """The pod's name of the last try of the task at the end of a path."""
    nodes = [node for node in nodes_of(spec, workflow, packs) if node.pod_kind and f".{task}.executor" in node.path]
    number = node_id(workflow, nodes[-1].path).rsplit("-", 1)[1]
    return f"{workflow}-{nodes[-1].pod_kind}-{number}"


def _state(node: Node, nodes: list[Node], done: int, broken: list[str]) -> str | None:
    inside = [other for other in nodes if other.path == node.path or other.path.startswith(f"{node.path}.")]
    if broken:
        if any(
            path == node.path or path.startswith(f"{node.path}.") or node.path.startswith(f"{path}.") for path in broken
        ):
            return "FAILED"
        return "SUCCEEDED" if node.turn < done or node.name.endswith("-driver") else "RUNTIME_STATE_UNSPECIFIED"
    if node.turn > done or (node.name == "executor(0)" and node.turn >= done + 1):
        return None
    if node.name.endswith("-driver"):
        return "SUCCEEDED"
    return "SUCCEEDED" if max(other.turn for other in inside) < done else "RUNNING"


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
