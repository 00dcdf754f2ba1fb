"""Where each task of a run stands in the DAG, where Kubeflow's answer is all that there is.

It lists tasks by name alone: both packs of a loop are ``train-pack``. It does give the ids of each task's children, and
Argo makes a node's id from the names on the way to it, so the ways can be found again by trying the names that occur.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

FNV_OFFSET, FNV_PRIME = 0x811C9DC5, 0x01000193


def node_id(workflow: str, path: str) -> str:
    """Argo's id of the node at a path (names joined by dots, the workflow's first): an FNV-1a hash."""
    return workflow if path == workflow else f"{workflow}-{_hashed(path)}"


def node_paths(tasks: Sequence[Any]) -> dict[str, str]:
    """The paths of all nodes that are some task's child, by id; empty when nothing fits.

    Args:
        tasks: the task details of a run.
    """
    ids = {child for task in tasks for child in children(task)}
    names = {task.display_name for task in tasks if task.display_name}
    root = next((name for name in names if _below(_workflow_of(name), name, names, ids)), None)
    if root is None:
        return {}
    workflow = _workflow_of(root)
    found: dict[str, str] = {}
    reached = {workflow: root}
    while reached:
        found |= reached
        below = [_below(workflow, path, names, ids - found.keys()) for path in reached.values()]
        reached = {node: path for part in below for node, path in part.items()}
    return found


def path_of(task: Any, tasks: Sequence[Any], paths: Mapping[str, str]) -> str | None:
    """The path of one of a run's tasks; None when it cannot be told (yet)."""
    candidates = [path for path in paths.values() if path.rsplit(".", 1)[-1] == task.display_name]
    if len(candidates) == 1 and sum(other.display_name == task.display_name for other in tasks) == 1:
        return candidates[0]
    inside = [paths[child] for child in children(task) if child in paths]
    # A try of a node stands beside it, with its number in brackets.
    return next(
        (path for path in candidates if any(child.startswith((f"{path}.", f"{path}(")) for child in inside)), None
    )


def children(task: Any) -> list[str]:
    """The ids of the nodes that follow a task or are inside it."""
    return [str(child.pod_name) for child in task.child_tasks or () if child.pod_name]


def _workflow_of(root: str) -> str:
    """A workflow's name from its node's: Kubeflow's installation lets that be tried again, too."""
    return root.partition("(")[0]


def _below(workflow: str, path: str, names: Collection[str], ids: Collection[str]) -> dict[str, str]:
    before = _hashed(f"{path}.")
    below = {f"{workflow}-{_hashed(name, before)}": f"{path}.{name}" for name in names}
    return {node: way for node, way in below.items() if node in ids}


def _hashed(text: str, before: int = FNV_OFFSET) -> int:
    """FNV-1a, 32 bits, going on from the hash of what stands before."""
    value = before
    for byte in text.encode():
        value = (value ^ byte) * FNV_PRIME % 2**32
    return value
