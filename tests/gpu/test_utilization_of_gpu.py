"""How busy a GPU is, as its real driver says: more while it multiplies than while it rests.

Needs torch, nvidia-ml-py, psutil and pytest there; skipped where there is no GPU.
"""

import time

import pytest
import torch

from sanefit.components.foundation.machine.gpu_utilization import GpuUtilization

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")

SECONDS = 5


def test_a_gpu_that_multiplies_is_busier_than_one_that_rests() -> None:
    matrix = torch.ones((8192, 8192), device="cuda")
    torch.cuda.synchronize()
    resting = GpuUtilization(period_seconds=0.2)
    time.sleep(SECONDS)
    resting.stop()
    multiplying = GpuUtilization(period_seconds=0.2)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        matrix @ matrix
        torch.cuda.synchronize()
    multiplying.stop()
    at_rest, at_work = resting.mean(), multiplying.mean()
    assert at_rest is not None
    assert at_work is not None
    assert at_rest < 0.5 < at_work <= 1.0
