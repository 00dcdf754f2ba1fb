"""Podman and buildah with a storage of their own, as root on a machine that may itself be a container."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_FOLDER = "/run/sanefit-tests"  # podman cannot clean up behind a longer run root than 50 characters
CONTAINERS_CONF = """
[containers]
# Where the machine has few limits of its own, the defaults cannot be set.
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "host"

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
compat_api_enforce_docker_hub = false
tmp_dir = "{run}/libpod"
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{storage}"
runroot = "{run}/storage"
"""


@dataclass(frozen=True)
class ContainerEngine:
    """``environment`` makes podman and buildah use the storage."""

    environment: dict[str, str]

    def podman(self, *arguments: str, text: str | None = None) -> str:
        """What ``podman ARGUMENTS`` prints, with ``text`` as its input."""
        return self.run("podman", *arguments, text=text)

    def run(self, *command: str, text: str | None = None, **environment: str) -> str:
        """What a command prints."""
        finished = subprocess.run(
            command,
            input=text,
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{' '.join(command)[:500]}: {finished.stdout[-4000:]}{finished.stderr[-4000:]}")
        return finished.stdout


def engine_with_storage(folder: Path) -> ContainerEngine:
    """An engine that keeps its images below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    run = f"{RUN_FOLDER}/{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"
    (folder / "containers.conf").write_text(CONTAINERS_CONF.format(run=run))
    (folder / "storage.conf").write_text(STORAGE_CONF.format(storage=folder / "storage", run=run))
    return ContainerEngine(
        {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "BUILDAH_ISOLATION": "chroot",
        }
    )
