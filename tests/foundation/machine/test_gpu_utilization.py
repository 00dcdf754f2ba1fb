"""How busy GPUs are, asked through the real ``pynvml`` of a driver's library that this test compiles."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = """
typedef struct { unsigned int gpu, memory; } Rates;
int nvmlInitWithFlags(unsigned int flags) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { *device = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetUtilizationRates(void *device, Rates *rates) {
    if (REFUSES) return 3;
    rates->gpu = (long)device == 1 ? 90 : 30;
    rates->memory = 5;
    return 0;
}
const char *nvmlErrorString(int code) { return "Not Supported"; }
"""
LOOK = """
import time
from sanefit.components.foundation.machine.gpu_utilization import GpuUtilization

utilization = GpuUtilization(period_seconds=0.01)
until = time.monotonic() + float(SECONDS)
while utilization.mean() is None and time.monotonic() < until:
    time.sleep(0.01)
utilization.stop()
print(utilization.mean())
"""


@pytest.mark.parametrize(
    ("asked", "refuses", "expected"),
    [
        pytest.param("nvidia.com/gpu: 2", 0, "0.6", id="mean of both"),
        pytest.param("nvidia.com/mig-1g.10gb: 1", 1, "None", id="a slice has no figure"),
        pytest.param("", 0, "None", id="no GPU in use"),
    ],
)
def test_utilization_is_the_mean_that_the_driver_says(tmp_path: Path, asked: str, refuses: int, expected: str) -> None:
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler to make a driver's library with")
    source, library = tmp_path / "driver.c", tmp_path / "libnvidia-ml.so.1"
    source.write_text(DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", f"-DREFUSES={refuses}", "-o", library, source], check=True)
    assert _seen({"LD_LIBRARY_PATH": str(tmp_path), "SANEFIT_ASKED_FOR": asked}, expected) == expected


def test_without_a_driver_there_is_no_figure() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a driver")
    assert _seen({"SANEFIT_ASKED_FOR": "nvidia.com/gpu: 1"}, "None") == "None"


def _seen(variables: dict[str, str], expected: str) -> str:
    seconds = 1 if expected == "None" else 60
    code = LOOK.replace("SECONDS", str(seconds))
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, check=True, capture_output=True, text=True
    ).stdout.strip()
