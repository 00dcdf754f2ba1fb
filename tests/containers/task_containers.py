"""Runs a task's container for kfp's DockerRunner, and keeps what the kernel says about it.

kfp's own function asks for automatic removal, and so loses the exit status of a task that fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

NO_PRIVILEGES = {
    "read_only": True,
    "tmpfs": {"/tmp": "rw,mode=1777"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "host",
}


@dataclass(frozen=True)
class ProcessFacts:
    """What the kernel says about a container's first process."""

    user: int
    group: int
    capabilities: int
    no_new_privileges: bool
    read_only_root: bool


@dataclass(frozen=True)
class TaskContainer:
    """One task: the step's function, the id of its image, its process unless it was gone at once, its exit status."""

    step: str
    image_id: str
    process: ProcessFacts | None
    exit_status: int


@dataclass(frozen=True)
class Ended:
    """How a container ended, and what it printed."""

    exit_status: int
    output: str


@dataclass(frozen=True)
class Task:
    """A task as kfp would run it; ``ran``: takes every container that ran."""

    step: str
    client: Any
    image: str
    command: list[str]
    arguments: Mapping[str, Any]
    ran: list[TaskContainer]

    def run(
        self, environment: Mapping[str, str] | None = None, volumes: Mapping[str, Any] | None = None, told_at: str = ""
    ) -> Ended:
        """In a container of its own.

        Args:
            environment, volumes: beside those that it has.
            told_at: once a line holds this, all of its processes but the first are told to end, as Argo tells them.
        """
        arguments = {
            **self.arguments,
            "environment": {**self.arguments.get("environment", {}), **(environment or {})},
            "volumes": {**self.arguments["volumes"], **(volumes or {})},
        }
        container = self.client.containers.create(self.image, self.command, **arguments)
        lines = []
        try:
            container.start()
            process = _process_facts(container)
            for part in container.logs(stream=True, follow=True):
                lines.append(part.decode(errors="replace"))
                print(lines[-1], end="")
                if told_at and told_at in "".join(lines):
                    _tell_to_end(container)
                    told_at = ""
            exit_status = int(container.wait()["StatusCode"])
            self.ran.append(TaskContainer(self.step, container.attrs["Image"], process, exit_status))
            return Ended(exit_status, "".join(lines))
        finally:
            container.remove(force=True)


Script = Callable[[Task], Ended]


def container_runner(
    ran: list[TaskContainer],
    changes: Mapping[str, Mapping[str, object]],
    mounts: Mapping[str, Mapping[str, str]],
    scripts: Mapping[str, Script],
) -> Callable[..., int]:
    """A replacement of kfp's ``run_docker_container``.

    Args:
        ran: takes every container that ran.
        changes: container arguments of single steps.
        mounts: volumes of every step.
        scripts: what is done with single steps in place of running them once; the last ending counts.
    """

    def run_docker_container(
        client: Any, image: str, command: list[str], volumes: dict[str, Any], **arguments: Any
    ) -> int:
        step = command[command.index("--function_to_execute") + 1]
        given = {**arguments, **changes.get(step, {}), "volumes": {**volumes, **mounts}}
        task = Task(step, client, image, command, given, ran)
        return scripts.get(step, Task.run)(task).exit_status

    return run_docker_container


def _tell_to_end(container: Any) -> None:
    container.reload()
    for process in psutil.Process(container.attrs["State"]["Pid"]).children(recursive=True):
        process.terminate()


def _process_facts(container: Any) -> ProcessFacts | None:
    container.reload()
    process = Path("/proc") / str(container.attrs["State"]["Pid"])
    try:
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:
        return None
    [root] = [mount for mount in mounts if mount[4] == "/"]
    return ProcessFacts(
        user=int(status["Uid"].split()[1]),
        group=int(status["Gid"].split()[1]),
        capabilities=int(status["CapEff"], 16),
        no_new_privileges=status["NoNewPrivs"].strip() == "1",
        read_only_root="ro" in root[5].split(","),
    )
