"""A figure of a benchmark: one JSON line."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path


def print_figure(
    figure: str, value: float, unit: str, n: int, *, peer: str = "", ratio: float | None = None, **more: object
) -> None:
    """Print one line.

    Args:
        figure: what was measured.
        value, unit: the measurement.
        n: how many cases or repetitions it comes from.
        peer, ratio: what it is compared with in the same run; above 1 is better than the peer.
        more: what else describes it.
    """
    versions = {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "sanefit")}
    record = {"figure": figure, "value": value, "unit": unit, "ratio": ratio, "peer": peer, "n": n, **more}
    print(json.dumps({**record, "hardware": _hardware(), "versions": versions}), flush=True)


def _hardware() -> str:
    try:
        cpus = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        cpus = []
    name = next((line.split(":", 1)[1].strip() for line in cpus if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores, {name}"
