"""The steps of a run on the cluster, named as a run on this machine names them."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sanefit.pipeline.kubeflow.runs.argo_workflow import Node, Workflow, plain_path
from sanefit.pipeline.kubeflow.runs.run_states import FAILED, PENDING, RUNNING, SUCCEEDED
from sanefit.pipeline.kubeflow.runs.workflow_nodes import node_paths, path_of
from sanefit.pipeline.task_names import EARLIER_STAGES, OF_AN_EARLIER_STAGE, Task, task_named

ITERATION = re.compile(r"\((\d+):")
DRIVER, EXECUTOR = "-driver", "executor"  # the pod that prepares a task, and the one that runs it
UNPREPARED = "Kubeflow could not prepare it: its driver failed"
PHASES = {
    "Pending": PENDING,
    "Running": RUNNING,
    "Succeeded": SUCCEEDED,
    "Failed": FAILED,
    "Error": FAILED,
    "Skipped": SUCCEEDED,  # its result was in the cache
}


@dataclass(frozen=True)
class Step:
    """One step.

    ``state``: the server's. ``error``: why it failed, or why it cannot start. ``said``: its last line, or how far it
    is. ``path``: Argo's, empty when it cannot be told. ``pod``: that of its last try, where it is known. ``parts``: the
    steps that share this task, in order, where there are several.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    error: str
    path: str = ""
    said: str = ""
    pod: str = ""
    parts: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it ran, once it has ended."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    def record(self) -> dict[str, Any]:
        """For a program."""
        times = {"started": self.started, "ended": self.ended}
        shown = {key: time.isoformat() if time else None for key, time in times.items()}
        return {**{key: value for key, value in asdict(self).items() if key not in ("path", "pod", "parts")}, **shown}


def steps_of(run: Any) -> list[Step]:
    """The steps among the tasks that Kubeflow tells, in the order in which they began.

    A pack whose number cannot be told yet is left out; without any way to tell, equal names are
    numbered in that order. A step that Kubeflow could not prepare appears under its own name.
    """
    tasks = tasks_of(run)
    paths = node_paths(tasks)
    repeated = _repeated(tasks)
    steps = []
    for task in tasks:
        known = _known(task)
        path = path_of(task, tasks, paths) if known else None
        if known and (path or not paths or task.display_name not in repeated):
            steps.append(_step(task, known, path or ""))
    return _numbered(in_order(steps))


def steps_outside_stages(run: Any) -> list[Step]:
    """Those whose name alone says what they are: no way has to be found."""
    tasks = tasks_of(run)
    repeated = _repeated(tasks)
    known = [(task, known) for task in tasks if (known := _known(task)) and task.display_name not in repeated]
    return in_order([_step(task, known) for task, known in known])


def steps_of_workflow(workflow: Workflow) -> list[Step]:
    """The steps among Argo's nodes, in the order in which they began; the times are those of a step's last pod."""
    nodes: dict[str, list[Node]] = defaultdict(list)
    for node in workflow.nodes:
        nodes[node.path].append(node)
    steps = [_step_of_nodes(path, found, nodes.get(f"{path}.{EXECUTOR}", [])) for path, found in nodes.items()]
    return in_order([step for step in steps if step is not None])


def in_order(steps: Sequence[Step]) -> list[Step]:
    """By when they began."""
    return sorted(steps, key=lambda step: (step.started is None, step.started, step.path, step.name))


def tasks_of(run: Any) -> list[Any]:
    """The task details of a run."""
    return list(run.run_details.task_details or ()) if run.run_details else []


def error_text(status: Any) -> str:
    """What a status of an error says, in one line."""
    return " ".join(str(status.message).split()) if status is not None and status.message else ""


def moment(time: datetime | None) -> datetime | None:
    """A time of the server, which says 1970 or the year 1 for never."""
    return time if time is not None and time.year > 1970 else None


def _repeated(tasks: Sequence[Any]) -> set[str]:
    """Names of tasks of which a run has, or may have, several: only the way to them tells them apart."""
    names = Counter(str(task.display_name) for task in tasks)
    of_a_stage = {name for name in names if (known := task_named(name)) and known.name in OF_AN_EARLIER_STAGE}
    return of_a_stage | {name for name, count in names.items() if count > 1}


def _known(task: Any) -> Task | None:
    """Steps that never run, after another failed, have no state."""
    if task.state in (None, "", "RUNTIME_STATE_UNSPECIFIED"):
        return None
    return _task(str(task.display_name or ""), failed=task.state == FAILED)


def _task(name: str, *, failed: bool) -> Task | None:
    return task_named(name.removesuffix(DRIVER) if failed else name)


def _named(known: Task, path: str) -> str:
    """With its stage and number, where only the way to it tells them."""
    parts = plain_path(path).split(".")
    stage = next((EARLIER_STAGES[part] for part in parts if part in EARLIER_STAGES), "")
    name = " ".join(filter(None, (stage, known.name)))
    iteration = next((match for part in reversed(parts) if (match := ITERATION.search(part))), None)
    if iteration and "pack" in name:  # in a loop each has the same name
        return f"{name.rstrip('0123456789 ')} {int(iteration[1]) + 1}"
    return name


def _step(task: Any, known: Task, path: str = "") -> Step:
    error = error_text(task.error)
    if not error and str(task.display_name).endswith(DRIVER):
        error = UNPREPARED
    times = moment(task.start_time), moment(task.end_time)
    return Step(_named(known, path), str(task.state), *times, error, path, parts=known.steps)


def _step_of_nodes(path: str, nodes: Sequence[Node], pods: Sequence[Node]) -> Step | None:
    """The step at a path, from the nodes of all tries there and of its container; None where there is none."""
    whole = min(nodes, key=lambda node: {"Retry": 0, "Pod": 2}.get(node.kind, 1))  # of all tries, where there is one
    last = max((node for node in pods if node.kind == "Pod"), key=lambda node: str(node.started), default=None)
    name = path.rsplit(".", 1)[-1]
    known = _task(name, failed=PHASES.get(whole.phase) == FAILED)
    if known is None or whole.phase not in PHASES:
        return None
    if name.endswith(DRIVER):
        last = next((node for node in nodes if node.kind == "Pod"), whole)
    shown = last or whole
    error = shown.why or (UNPREPARED if name.endswith(DRIVER) else "")
    state = PHASES[whole.phase]
    if state == RUNNING and shown.phase == "Pending":
        state = PENDING
    error = error if state in (FAILED, PENDING) else ""
    pod = last.pod if last else ""
    return Step(_named(known, path), state, shown.started, shown.ended, error, path, pod=pod, parts=known.steps)


def _numbered(steps: Sequence[Step]) -> list[Step]:
    seen: Counter[str] = Counter()
    numbered = []
    for step in steps:
        seen[step.name] += 1
        numbered.append(replace(step, name=f"{step.name} ({seen[step.name]})") if seen[step.name] > 1 else step)
    return numbered
