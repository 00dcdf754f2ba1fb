"""What this process and those that it started use: memory, processor time, GPUs."""

import contextlib
import os
import resource
import sys
import time
from dataclasses import dataclass

from sanefit.components.foundation.machine.environment import GPUS_ASKED_FOR


@dataclass(frozen=True)
class Usage:
    """``memory``: bytes, of all processes now, what they share counted once. ``largest``: bytes that one of them has
    used at any time. ``cpu_seconds``: so far.
    """

    memory: int
    largest: int
    cpu_seconds: float


def usage_of_processes() -> Usage:
    """Of this process and its descendants; those that have ended, and were waited for, count in the time."""
    ended = os.times()
    memory, seconds = _of_those_that_live()
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Usage(memory, largest * 1024, seconds + ended.children_user + ended.children_system)


def _of_those_that_live() -> tuple[int, float]:
    """Bytes and seconds. The image of the statistics has no psutil: no bytes, and of this process alone."""
    try:
        import psutil
    except ImportError:
        return 0, time.process_time()
    memory, seconds, own = 0, 0.0, psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            spent = process.cpu_times()
            seconds += spent.user + spent.system
            # A fork shares most of its memory with its parent: each has its part of that.
            memory += getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss
    return memory, seconds


def gpus_in_use() -> int:
    """How many GPUs this process was given, or without such a word has begun to compute on."""
    if asked := os.environ.get(GPUS_ASKED_FOR, ""):
        return int(asked.rpartition(":")[2])
    torch = sys.modules.get("torch")
    return int(torch.cuda.device_count()) if torch is not None and torch.cuda.is_initialized() else 0
