"""What processes use, against processes that use a known amount."""

import subprocess
import sys

import pytest

from sanefit.components.foundation.machine.usage import gpus_in_use, usage_of_processes

MEBIBYTE = 2**20
HOLDER = f"held = bytearray(b'x' * (200 * {MEBIBYTE})); print('ready', flush=True); input()"
WORKER = "import time\nwhile time.process_time() < 0.5: pass"


def test_memory_of_children_counts_while_they_hold_it() -> None:
    before = usage_of_processes().memory
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        held = usage_of_processes().memory
        child.communicate("\n")
    assert 150 * MEBIBYTE < held - before < 400 * MEBIBYTE
    assert held - usage_of_processes().memory > 150 * MEBIBYTE


def test_time_of_children_that_have_ended_counts() -> None:
    before = usage_of_processes().cpu_seconds
    subprocess.run([sys.executable, "-c", WORKER], check=True)
    assert 0.4 < usage_of_processes().cpu_seconds - before < 5


@pytest.mark.parametrize(("asked", "gpus"), [("nvidia.com/gpu: 4", 4), ("nvidia.com/mig-1g.10gb: 1", 1), ("", 0)])
def test_gpus_are_those_that_the_container_was_given(monkeypatch: pytest.MonkeyPatch, asked: str, gpus: int) -> None:
    monkeypatch.setenv("SANEFIT_ASKED_FOR", asked)
    assert gpus_in_use() == gpus
