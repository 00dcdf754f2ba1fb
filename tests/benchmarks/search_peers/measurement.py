"""One peer in a process of its own: when its results come, and how much memory it and its children take."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from search_peers.protocol import Result, Search

BENCHMARKS = Path(__file__).parents[1]
POLL_SECONDS = 0.5  # what is read is a process's highest mark
MOST_SECONDS = 3600.0


@dataclass(frozen=True)
class Measured:
    """Seconds count from the start of the process.

    ``ended``: when it had gone. ``ready``: when it said so, 0 if it never did. ``peak_mb``: the most that the sum of
    VmHWM over it and its children then alive came to; what they share is counted in each.
    """

    ended: float
    ready: float
    results: tuple[Result, ...]
    peak_mb: float

    @property
    def first_result(self) -> float:
        """When the first trial had ended: ours says nothing of an epoch before."""
        return self.finishes()[0]

    def finishes(self) -> list[float]:
        """When each trial's last result came, rising."""
        last: dict[int, float] = {}
        for result in self.results:
            last[result.trial] = max(result.at, last.get(result.trial, 0.0))
        return sorted(last.values())

    def seconds_each(self, at_once: int) -> float:
        """Per trial once it runs: the first ``at_once``, which may carry the start-up, are left out."""
        finishes = self.finishes()
        return (finishes[-1] - finishes[at_once - 1]) / (len(finishes) - at_once)

    def search_seconds(self, trials: int, at_once: int) -> float:
        """What a search of so many takes, from the start to the end of the process."""
        more = trials - len(self.finishes())
        return self.ended + (more * self.seconds_each(at_once) if more else 0.0)

    def training_rate(self, epochs: int) -> float:
        """Trial-epochs/s from ready on."""
        return len(self.finishes()) * epochs / (self.finishes()[-1] - self.ready)

    def final_accuracies(self) -> dict[int, float]:
        """By trial, after its last epoch."""
        return {result.trial: result.accuracy for result in sorted(self.results, key=lambda r: r.epoch)}


@dataclass
class _Peak:
    """The highest sum of VmHWM over a process and its children, looked at time after time."""

    kilobytes: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, root: int) -> None:
        while not self.stop.wait(POLL_SECONDS):
            self.kilobytes = max(self.kilobytes, sum(map(_high_water_mark, _tree(root))))


def measure(arguments: Sequence[str], search: Search, environment: Iterable[tuple[str, str]] = ()) -> Measured:
    """Run ``python -m`` with these arguments and these further variables.

    Raises:
        RuntimeError: when it fails, or does not report every epoch of every trial.
    """
    start, peak = time.monotonic(), _Peak()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS), **dict(environment)},
    )
    watcher = threading.Thread(target=peak.watch, args=(process.pid,))
    watcher.start()
    try:
        said, _ = process.communicate(search.to_json(), timeout=MOST_SECONDS)
    finally:
        process.kill()  # where it has not ended
        peak.stop.set()
        watcher.join()
    ended = time.monotonic() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed with exit status {process.returncode}")
    return _measured(arguments, search, said, start, ended, peak.kilobytes / 1024)


def _measured(
    arguments: Sequence[str], search: Search, said: str, start: float, ended: float, peak_mb: float
) -> Measured:
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    ready = [line["ready"] - start for line in lines if "ready" in line]
    results = tuple(Result(**{**line, "at": line["at"] - start}) for line in lines if "trial" in line)
    missing = {trial.number for trial in search.trials} - {r.trial for r in results if r.epoch == search.epochs}
    if missing:
        raise RuntimeError(f"{' '.join(arguments)} reported no last epoch of trials {sorted(missing)}")
    return Measured(ended, min(ready, default=0.0), results, round(peak_mb))


def _tree(root: int) -> list[int]:
    try:
        return [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _high_water_mark(process: int) -> int:
    """In kB; unlike ``ru_maxrss`` it begins anew with each program."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (OSError, ProcessLookupError):
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1])
