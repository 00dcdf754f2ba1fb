"""What is free: the machine's, less where the container or ``ulimit -v`` allow less."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from sanefit.components.foundation.machine import memory
from sanefit.components.foundation.machine.memory import available_memory

CPU = torch.device("cpu")
GIBIBYTE = 2**30


def cgroup(folder: Path, limit: str, used: int, files: int) -> tuple[Path, Path, Path]:
    paths = folder / "limit", folder / "used", folder / "stat"
    for path, text in zip(paths, (limit, used, f"anon 5\ninactive_file {files}\nactive_file 0\n"), strict=True):
        path.write_text(f"{text}")
    return paths


def test_without_limits_it_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUPS", ())
    assert available_memory(CPU) == pytest.approx(psutil.virtual_memory().available, rel=0.1)


@pytest.mark.parametrize(("files", "free"), [(0, 2**20), (2**19, 2**20 + 2**19)])
def test_a_containers_limit_counts_and_files_in_memory_make_room(
    files: int, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUPS", (cgroup(tmp_path, str(3 * 2**20), 2 * 2**20, files),))
    assert available_memory(CPU) == free


def test_a_container_that_is_over_its_limit_has_nothing_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUPS", (cgroup(tmp_path, "100", 200, 0),))
    assert available_memory(CPU) == 0


def test_a_container_without_a_limit_is_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUPS", (cgroup(tmp_path, "max", 2**20, 0),))
    assert available_memory(CPU) > 2**20


@pytest.mark.slow
def test_ulimit_counts() -> None:
    script = (
        "import os, psutil, resource, torch; from sanefit.components.foundation.machine.memory import available_memory;"
        "now = psutil.Process(os.getpid()).memory_info().vms;"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 2**28, resource.RLIM_INFINITY));"
        "print(available_memory(torch.device('cpu')))"
    )
    free = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    assert 0.9 * 2**28 < free <= 2**28
