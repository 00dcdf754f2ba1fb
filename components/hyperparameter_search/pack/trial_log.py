"""Trials go to MLflow from a process of its own: its import takes seconds, and each trial tens of milliseconds."""

import functools
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.machine.parallel_work import end_with_parent, start_method
from sanefit.components.foundation.machine.termination import ignore_sigterm
from sanefit.components.foundation.schemas.run_record import PackProgress
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import TrialResult
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.tracking.connected import is_connected
from sanefit.components.foundation.tracking.tags import STAGE_TAG, STATUS_TAG

if TYPE_CHECKING:
    from sanefit.components.foundation.tracking.connection import Client
    from sanefit.components.foundation.tracking.untracked import Outbox

SILENT_SECONDS = 10.0


@contextmanager
def tracking_process(tracking_uri: str) -> Iterator[Executor]:
    """One process, which connects to MLflow at once; call it before this one imports torch, to do both at a time.

    What is submitted must be importable without torch. When the caller raises, what waits is dropped: a server that is
    gone would keep each of hundreds of trials waiting for minutes.

    Args:
        tracking_uri: of MLflow.
    """
    process = ProcessPoolExecutor(1, _process_kind(), _begin_writing, (os.getpid(),))
    with _death_explained():
        number = process.submit(os.getpid).result()
        process.submit(_connect, tracking_uri)
    try:
        yield process
    except BaseException:
        process.shutdown(wait=False, cancel_futures=True)
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        raise
    process.shutdown(wait=True)


@dataclass
class TrialLog:
    """The trials of a pack on their way to MLflow; what it does not take waits in the run's folder.

    ``writer``: of ``tracking_process``, or any that does one thing after another. ``waiting``: in that order.
    ``told``: how far the pack has come; ``untold``: the same, until it is on its way; ``telling``: something is.
    """

    writer: Executor
    run: RunReference
    stage: str
    waiting: list[Future[None]] = field(default_factory=list)
    told: PackProgress | None = None
    untold: PackProgress | None = None
    telling: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, result: TrialResult) -> None:
        """Have a trial written.

        Raises:
            Exception: what writing one before it raised.
            RunFailedError: when the writer was killed.
        """
        with _death_explained():
            while self.waiting and self.waiting[0].done():
                self.waiting.pop(0).result()
            self.waiting.append(self.writer.submit(log_trial, self.run, self.stage, result))

    def tell(self, progress: PackProgress) -> None:
        """Have it written how far the pack has come, once what was told before is written.

        Whether that succeeds or not: a trial that cannot be written is an error, and this says less.
        """
        with self.lock:
            self.told = self.untold = progress
            if self.telling:
                return
        self._tell_last()

    def _tell_last(self) -> None:
        """Of all that came while something was written, only the last."""
        with self.lock:
            progress, self.untold = self.untold, None
            self.telling = progress is not None
        if progress is not None:
            with suppress(RuntimeError):  # the writer was killed, or is no longer wanted
                self.writer.submit(log_progress, self.run, progress).add_done_callback(lambda _: self._tell_last())

    def close(self, say: Say, silent_seconds: float = SILENT_SECONDS) -> None:
        """Wait until all are written, and say so when that takes longer, or some wait in the run's folder.

        Raises:
            Exception: what writing one of them raised.
            RunFailedError: when the writer was killed.
        """
        late = wait(self.waiting, silent_seconds).not_done
        if late:
            say(f"{len(late)} trials are still to be written to MLflow")
        with _death_explained():
            for future in self.waiting:
                future.result()
            if self.told is not None:
                wait([self.writer.submit(log_progress, self.run, self.told)])
            if left := self.writer.submit(write_rest, self.run).result():
                say(left)


def log_trial(run: RunReference, stage: str, result: TrialResult) -> None:
    """Write a trial to MLflow, once, or to the run's folder when it cannot be.

    Its times are its own, so that a second writing is the same. Its accuracy is the last point of the curve
    ``validation_accuracy``.
    """
    from sanefit.components.foundation.tracking.child_runs import ChildRun
    from sanefit.components.foundation.tracking.untracked import Untracked

    folds = {
        f"validation_accuracy_fold_{number}": value for number, value in enumerate(result.fold_accuracies, start=1)
    }
    child = ChildRun(
        name=f"{stage}-{result.spec.number:04d}",
        params={key: shown(value) for key, value in result.spec.setting.searched.items()},
        tags={STAGE_TAG: stage, STATUS_TAG: result.status},
        epochs=result.epochs,
        summary=folds,
        started=result.started,
        ended=result.started + result.seconds,
        failed=result.status not in ("ok", "stopped"),
    )
    _outbox(run).write(Untracked(child=child))


def write_rest(run: RunReference) -> str:
    """Once more what this process could not write; a warning when some of it is left, else empty."""
    from sanefit.components.foundation.tracking.untracked import not_taken

    outbox = _outbox(run)
    outbox.fill_in()
    return not_taken(outbox) if outbox.left else ""


def log_progress(run: RunReference, progress: PackProgress) -> None:
    """Write how far a pack has come, to the run's folder and to MLflow.

    The first pack, when it begins, also writes to MLflow what the steps before it said of themselves.

    Raises:
        StorageError: when the folder cannot be written.
    """
    from sanefit.components.foundation.tracking.run_record import mirror_if_taken, tag_progress

    uri = Storage(run.storage).run(run.run_name).pack_progress(progress.stage, progress.pack)
    object_store.write_bytes(uri, progress.model_dump_json().encode())

    def tell(tracking: "Client") -> None:
        tag_progress(tracking, run, progress)
        if progress.pack == 0 and progress.ended == 0:
            mirror_if_taken(tracking, run)

    _outbox(run).try_once(tell)


def shown(value: float | int | str) -> str:
    """A searched value as users read it, with all of its digits."""
    return value if isinstance(value, str) else repr(value)


def _begin_writing(pack: int) -> None:
    end_with_parent(pack)
    ignore_sigterm()


def _process_kind() -> multiprocessing.context.BaseContext:
    """Forked, for a start from nothing imports kfp again; but a connection to SQLite does not outlive a fork."""
    return multiprocessing.get_context("spawn" if is_connected() else start_method())


@contextmanager
def _death_explained() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise RunFailedError(
            "the process that writes trials to MLflow was killed; expected it to end by itself; it may have run "
            "out of memory: allow more of it, and run again: what was trained is kept"
        ) from error


def _connect(tracking_uri: str) -> None:
    gc.disable()  # it would walk all that is being imported again and again
    try:
        _client(tracking_uri)
        gc.freeze()
    finally:
        gc.enable()


@functools.cache
def _client(uri: str) -> "Client":
    from sanefit.components.foundation.tracking.connection import connect

    return connect(uri)


@functools.cache
def _outbox(run: RunReference) -> "Outbox":
    from sanefit.components.foundation.tracking.untracked import Outbox

    return Outbox(run, lambda: _client(run.tracking_uri))
