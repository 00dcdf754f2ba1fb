"""Runs a task's container for kfp's DockerRunner, and keeps what the kernel says about it.

kfp's own function asks for automatic removal, and so loses the exit status of a task that fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def container_runner(ran: list[TaskContainer], changes: Mapping[str, Mapping[str, object]]) -> Callable[..., int]:
    """A replacement of kfp's ``run_docker_container``.

    Args:
        ran: takes every container that ran.
        changes: container arguments of single steps.
    """

    def run_docker_container(
        client: Any, image: str, command: list[str], volumes: dict[str, Any], **arguments: Any
    ) -> int:
        step = command[command.index("--function_to_execute") + 1]
        container = client.containers.create(image, command, volumes=volumes, **{**arguments, **changes.get(step, {})})
        try:
            container.start()
            process = _process_facts(container)
            for line in container.logs(stream=True, follow=True):
                print(line.decode(errors="replace"), end="")
            exit_status = int(container.wait()["StatusCode"])
            ran.append(TaskContainer(step, container.attrs["Image"], process, exit_status))
            return exit_status
        finally:
            container.remove(force=True)

    return run_docker_container


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
