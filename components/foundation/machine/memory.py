"""How much memory this process may still take."""

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

CGROUPS = (  # limit and use: version 2, version 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory.stat")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.stat"),
    ),
)


def available_memory(device: "torch.device") -> int:
    """Bytes free on a device; on the CPU as this machine, the container's limit and ``ulimit -v`` leave it."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return max(0, min([psutil.virtual_memory().available, *_left_in_container(), *_left_of_address_space()]))


def _left_in_container() -> list[int]:
    """Files that the kernel keeps in memory do not count: they make room when asked."""
    for limit, used, stat in CGROUPS:
        try:
            most, now = int(limit.read_text()), int(used.read_text())
            files = dict(line.split() for line in stat.read_text().splitlines())
        except (OSError, ValueError):  # none, or "max"
            continue
        return [most - now + int(files.get("inactive_file", 0)) + int(files.get("active_file", 0))]
    return []


def _left_of_address_space() -> list[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if limit == resource.RLIM_INFINITY else [limit - psutil.Process(os.getpid()).memory_info().vms]
