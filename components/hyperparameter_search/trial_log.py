"""Trials go to MLflow from a process of its own: its import takes seconds, and each trial tens of milliseconds."""

import functools
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from components.foundation.artifacts import RunReference
from components.foundation.errors import RunFailedError
from components.foundation.parallel_work import end_with_parent
from components.foundation.training_artifacts import TrialResult

if TYPE_CHECKING:
    from components.foundation import tracking


@contextmanager
def tracking_process() -> Iterator[Executor]:
    """One process, which imports MLflow at once; call it before this one imports torch, to do both at a time.

    What is submitted must be importable without torch.
    """
    assert "mlflow" not in sys.modules, "a connection to SQLite does not outlive a fork"
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork, end_with_parent, (os.getpid(),)) as process:
        process.submit(_import_tracking)
        yield process


@dataclass
class TrialLog:
    """The trials of a pack on their way to MLflow. ``process``: of ``tracking_process``, or any that has MLflow."""

    process: Executor
    run: RunReference
    stage: str
    waiting: list[Future[None]] = field(default_factory=list)

    def add(self, result: TrialResult) -> None:
        """Have a trial written.

        Raises:
            Exception: what writing one before it raised.
            RunFailedError: when the process was killed.
        """
        self._settle([future for future in self.waiting if future.done()])
        self.waiting.append(self.process.submit(log_trial, self.run, self.stage, result))

    def close(self) -> None:
        """Wait until all are written.

        Raises:
            Exception: what writing one of them raised.
            RunFailedError: when the process was killed.
        """
        self._settle(self.waiting)

    def _settle(self, ended: list[Future[None]]) -> None:
        try:
            for future in ended:
                future.result()
        except BrokenProcessPool as error:
            raise RunFailedError(
                "the process that writes trials to MLflow was killed; expected it to end by itself; it may have run "
                "out of memory: allow more of it, and run again: what was trained is kept"
            ) from error
        self.waiting = [future for future in self.waiting if future not in ended]


def log_trial(run: RunReference, stage: str, result: TrialResult) -> None:
    """Write a trial to MLflow, once: its times are its own, so that a second writing is the same."""
    tracking, client = _tracking(run.tracking_uri)
    folds = {f"val_acc_fold_{number}": value for number, value in enumerate(result.fold_accuracies, start=1)}
    tracking.log_child_run(
        client,
        run,
        name=f"{stage}-{result.spec.number:04d}",
        params={key: shown(value) for key, value in result.spec.setting.searched.items()},
        tags={"sanefit.stage": stage, "sanefit.status": result.status},
        epochs=result.epochs,
        summary={"val_acc": result.validation_accuracy, **folds},
        started=result.started,
        ended=result.started + result.seconds,
        failed=result.status not in ("ok", "stopped"),
    )


def shown(value: float | int | str) -> str:
    """A searched value as users read it, with all of its digits."""
    return value if isinstance(value, str) else repr(value)


def _import_tracking() -> None:
    from components.foundation import tracking  # noqa: F401


@functools.cache
def _tracking(uri: str) -> tuple[ModuleType, "tracking.Client"]:
    from components.foundation import tracking

    return tracking, tracking.client(uri)
