"""Keeps what a step says of itself in the run's folder: when it began, its last line, how it ended."""

from collections.abc import Callable

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.machine.gpu_utilization import GpuUtilization
from sanefit.components.foundation.machine.usage import gpus_in_use, usage_of_processes
from sanefit.components.foundation.schemas.run_record import StepRecord
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage

SECONDS = 10.0  # at least between two records of a step that runs
LONGEST = 2000  # characters of a text that is kept: a record becomes a tag of MLflow, too


class StepRecording:
    """The record of one step. Storage that refuses is said once: the step itself may not need it."""

    def __init__(self, run: RunReference, step: str, started: float, clock: Clock, warn: Callable[[str], None]) -> None:
        """Say that the step runs.

        Args:
            run: whose step it is.
            step: its name.
            started: epoch seconds.
            clock: epoch seconds.
            warn: prints a line.
        """
        self._uri = Storage(run.storage).run(run.run_name).step(step)
        self._record = StepRecord(step=step, state="running", started=started)
        self._clock = clock
        self._warn = warn
        self._refused = False
        self._due = started + SECONDS
        self._cpu_seconds_before = usage_of_processes().cpu_seconds
        self._gpu_utilization = GpuUtilization()
        self._write()

    def said(self, line: str) -> None:
        """Keep the last line that it said, now and then."""
        self._record = self._record.model_copy(update={"said": _short(line)})
        if self._clock() >= self._due:
            self._look_at_usage()
            self._write()
            self._due = self._clock() + SECONDS

    def ended(self, failure: str) -> None:
        """Say how it ended; ``failure``: why it failed, empty where it did not."""
        state = "failed" if failure else "succeeded"
        self._gpu_utilization.stop()
        self._look_at_usage()
        self._record = self._record.model_copy(
            update={"state": state, "ended": self._clock(), "reason": _short(failure)}
        )
        self._write()

    def _look_at_usage(self) -> None:
        usage, elapsed = usage_of_processes(), self._clock() - self._record.started
        self._record = self._record.model_copy(
            update={
                "peak_memory": max(self._record.peak_memory, usage.memory, usage.largest),
                "cores": max(0.0, usage.cpu_seconds - self._cpu_seconds_before) / elapsed if elapsed > 0 else 0.0,
                "gpus": gpus_in_use(),
                "gpu_utilization": self._gpu_utilization.mean(),
            }
        )

    def _write(self) -> None:
        try:
            object_store.write_bytes(self._uri, self._record.model_dump_json().encode())
        except StorageError as error:
            if not self._refused:
                self._warn(f"warning: {error}; whoever watches the run does not see this step")
            self._refused = True


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
