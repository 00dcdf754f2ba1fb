"""What a peer is asked, on its standard input, and what it answers, on its standard output; all of it is JSON."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

NetName = Literal["lecture", "convnet"]
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Trial:
    """``number``, from 0, is also the seed of its initial weights."""

    number: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Search:
    """What is to be trained.

    ``folder``: JPEG files in ``train`` and ``val``, a folder for each class, and a few in ``test``. ``pixels``: the
    same decoded: files ``train_pixels.npy``, ``train_labels.npy`` and so on. ``num_workers``: of a DataLoader.
    ``threads``: of torch; 0 leaves them alone. ``scratch``: an empty folder.
    """

    net: NetName
    trials: tuple[Trial, ...]
    epochs: int
    folder: Path
    pixels: Path
    scratch: Path
    num_workers: int = 0
    threads: int = 0

    def with_trials(self, trials: Iterable[Trial]) -> "Search":
        return dataclasses.replace(self, trials=tuple(trials))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), default=str)


@dataclass(frozen=True)
class Result:
    """The validation accuracy of a trial after an epoch, from 1; ``at``: seconds of a clock that all processes see."""

    trial: int
    epoch: int
    accuracy: float
    at: float


def read_search() -> Search:
    """What is asked of this process."""
    asked = json.loads(sys.stdin.read())
    folders = {name: Path(asked.pop(name)) for name in ("folder", "pixels", "scratch")}
    return Search(**{**asked, **folders, "trials": tuple(Trial(**trial) for trial in asked["trials"])})


def say_ready(at: float | None = None) -> None:
    """All is loaded; training begins, now or then."""
    print(json.dumps({"ready": time.monotonic() if at is None else at}), flush=True)


def say_result(trial: int, epoch: int, accuracy: float, at: float | None = None) -> None:
    """In one write, for several processes may share the output."""
    result = Result(trial, epoch, accuracy, time.monotonic() if at is None else at)
    sys.stdout.write(json.dumps(dataclasses.asdict(result)) + "\n")
    sys.stdout.flush()
