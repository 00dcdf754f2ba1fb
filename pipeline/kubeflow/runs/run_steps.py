"""The steps of a run on the cluster, named as a run on this machine names them."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sanefit.pipeline.kubeflow.runs.run_states import FAILED
from sanefit.pipeline.kubeflow.runs.workflow_nodes import node_paths, path_of
from sanefit.pipeline.task_names import STAGES, STEPS

ITERATION = re.compile(r"\((\d+):")
DRIVER = "-driver"  # the pod that prepares a task


@dataclass(frozen=True)
class Step:
    """One step. ``state`` is the server's; ``path`` is Argo's, or empty when it cannot be told."""

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    error: str
    path: str

    @property
    def seconds(self) -> float | None:
        """How long it ran, once it has ended."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    def record(self) -> dict[str, Any]:
        """For a program."""
        times = {"started": self.started, "ended": self.ended}
        shown = {key: time.isoformat() if time else None for key, time in times.items()}
        return {**{key: value for key, value in asdict(self).items() if key != "path"}, **shown}


def steps_of(run: Any) -> list[Step]:
    """The steps that Kubeflow knows of, in the order in which they began.

    A pack whose number cannot be told yet is left out; without any way to tell, equal names are
    numbered in that order. A step that Kubeflow could not prepare appears under its own name.
    """
    tasks = tasks_of(run)
    paths = node_paths(tasks)
    steps = []
    for task in tasks:
        kind = _kind(task) if _has_state(task) else None
        path = path_of(task, tasks, paths)
        if kind and (path or not paths or kind not in ("plan", "pack", "rank")):
            steps.append(_step(task, _named(kind, path or ""), path or ""))
    return list(_numbered(sorted(steps, key=lambda step: (step.started is None, step.started, step.path))))


def tasks_of(run: Any) -> list[Any]:
    """The task details of a run."""
    return list(run.run_details.task_details or ()) if run.run_details else []


def error_text(status: Any) -> str:
    """What a status of an error says, in one line."""
    return " ".join(str(status.message).split()) if status is not None and status.message else ""


def moment(time: datetime | None) -> datetime | None:
    """A time of the server, which says 1970 or the year 1 for never."""
    return time if time is not None and time.year > 1970 else None


def _kind(task: Any) -> str | None:
    name = str(task.display_name or "")
    if name.endswith(DRIVER) and task.state == FAILED:
        name = name.removesuffix(DRIVER)
    return STEPS.get(re.sub(r"-\d+$", "", name))


def _named(kind: str, path: str) -> str:
    parts = path.split(".")
    stage = next((STAGES[part] for part in parts if part in STAGES), "")
    iteration = next((match for part in reversed(parts) if (match := ITERATION.search(part))), None)
    number = str(int(iteration[1]) + 1) if iteration and kind == "pack" else ""
    return " ".join(filter(None, (stage, kind, number)))


def _step(task: Any, name: str, path: str) -> Step:
    error = error_text(task.error)
    if not error and str(task.display_name).endswith(DRIVER):
        error = "Kubeflow could not prepare it: its driver failed"
    return Step(name, str(task.state), moment(task.start_time), moment(task.end_time), error, path)


def _has_state(task: Any) -> bool:
    """Steps that never run, after another failed, have none."""
    return task.state not in (None, "", "RUNTIME_STATE_UNSPECIFIED")


def _numbered(steps: list[Step]) -> Iterator[Step]:
    seen: Counter[str] = Counter()
    for step in steps:
        seen[step.name] += 1
        number = f" ({seen[step.name]})" if seen[step.name] > 1 else ""
        yield Step(step.name + number, step.state, step.started, step.ended, step.error, step.path)
