"""How many cores this process may use."""

import os


def usable_cores() -> int:
    """The cores that this process may use; a container with a share of them says so in ``OMP_NUM_THREADS``."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(told)) if told.isdecimal() and int(told) else cores
