"""A container that asked for a GPU and has none says so at once, and does not train on its CPU."""

import subprocess
import sys

import pytest
import torch

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.machine.devices import CPU, visible_devices
from sanefit.components.foundation.machine.environment import GPUS_ASKED_FOR as ASKED_FOR
from sanefit.pipeline.placement import GPUS_ASKED_FOR

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@WITHOUT_GPU
def test_without_a_gpu_the_cpu_computes_unless_one_was_asked_for() -> None:
    assert visible_devices({}) == [CPU]
    with pytest.raises(RunFailedError) as caught:
        visible_devices({ASKED_FOR: "nvidia.com/gpu: 1", "NVIDIA_VISIBLE_DEVICES": "void"})
    said = str(caught.value)
    assert said.startswith(f"this container asked for nvidia.com/gpu: 1, and torch {torch.__version__} (built for ")
    assert "can use no GPU: it sees none (NVIDIA_VISIBLE_DEVICES void); expected a GPU; check that nvidia-smi" in said
    assert caught.value.exit_status == 1


def test_a_driver_that_is_too_old_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nUpdate it.")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(RunFailedError, match=r"too old \(found version 11040\). \(NVIDIA_VISIBLE_DEVICES unset\)"):
        visible_devices({ASKED_FOR: "nvidia.com/gpu: 1"})


@WITHOUT_GPU
@pytest.mark.slow
def test_a_step_that_asked_for_one_ends_in_one_line() -> None:
    step = (
        "from sanefit.components.foundation.step_lines.step_log import running_step\n"
        "with running_step('train'):\n"
        "    from sanefit.components.final_training.member_runs import visible_workers\n"
        "    visible_workers()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", step], capture_output=True, text=True, env={ASKED_FOR: "nvidia.com/gpu: 2"}, check=False
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "[sanefit-error train]" in ran.stdout
    assert "this container asked for nvidia.com/gpu: 2" in ran.stdout


def test_the_pipeline_and_the_step_call_it_alike() -> None:
    assert GPUS_ASKED_FOR == ASKED_FOR
