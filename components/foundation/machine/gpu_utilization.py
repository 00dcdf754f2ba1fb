"""How much of the time the GPUs of this process compute, as their driver (NVML) says."""

import os
import sys
import threading
from typing import Any

from sanefit.components.foundation.machine.environment import GPUS_ASKED_FOR
from sanefit.components.foundation.machine.usage import gpus_in_use

PERIOD_SECONDS = 1.0  # the driver's figure is of the last sixth of a second to a second


class GpuUtilization:
    """Looks once in a period, beside whatever the process does, from its making until ``stop``.

    There is no figure without GPUs, without ``pynvml``, and where the driver has none (a slice of a GPU).
    """

    def __init__(self, period_seconds: float = PERIOD_SECONDS) -> None:
        self._period_seconds = period_seconds
        self._percents, self._looks = 0, 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_until_stopped, daemon=True)
        self._thread.start()

    def mean(self) -> float | None:
        """The part of the time in which a kernel ran, over all looks at all GPUs, in [0, 1]; None before a look."""
        return self._percents / 100 / self._looks if self._looks else None

    def stop(self) -> None:
        """End the looks; returns once the last has ended."""
        self._stopped.set()
        self._thread.join()

    def _look_until_stopped(self) -> None:
        while not gpus_in_use():
            if self._stopped.wait(self._period_seconds):
                return
        try:
            import pynvml
        except ImportError:  # the image of the statistics has none
            return
        try:
            pynvml.nvmlInit()
            while not self._stopped.wait(self._period_seconds):
                for gpu in _gpus_of_this_process(pynvml):
                    self._percents += pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
                    self._looks += 1
        except pynvml.NVMLError:
            return


def _gpus_of_this_process(nvml: Any) -> list[Any]:
    """All that a container sees were given to it; elsewhere those that torch computes on."""
    if os.environ.get(GPUS_ASKED_FOR):
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    torch = sys.modules["torch"]
    properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [nvml.nvmlDeviceGetHandleByUUID(f"GPU-{one.uuid}".encode()) for one in properties]
