"""What a step prints: lines for the user, and one line that says how long it computed; ``reading`` reads them.

The same is kept in the run's record, for those who watch the run from where its steps cannot be seen.
"""

import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.errors import SanefitError, first_line
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.step_lines.line_forms import ERROR_MARK, LINE_MARK, TIMING_MARK, StepTiming
from sanefit.components.foundation.step_lines.step_recording import StepRecording

Say = Callable[[str], None]


class StepLog:
    """Prints the lines of a step when it is called; once it knows the run, it keeps the step's record."""

    def __init__(self, step: str, started: float, clock: Clock) -> None:
        """
        Args:
            step: the name shown before each line.
            started: epoch seconds.
            clock: epoch seconds.
        """
        self._step = step
        self._started = started
        self._clock = clock
        self._last = ""
        self._recording: StepRecording | None = None

    def __call__(self, text: str) -> None:
        """Print a text, line by line."""
        for line in text.splitlines() or [""]:
            self._print(line)
            self._last = line
        if self._recording is not None:
            self._recording.said(self._last)

    def of(self, run: RunReference | None) -> None:
        """From now on, keep the record of this step with a run; None: there is none."""
        if run is not None:
            self._recording = StepRecording(run, self._step, self._started, self._clock, warn=self._print)
            self._recording.said(self._last)

    def ended(self, failure: str = "") -> None:
        """The step has ended; ``failure``: why it failed."""
        if self._recording is not None:
            self._recording.ended(failure)

    def _print(self, line: str) -> None:
        print(LINE_MARK.format(step=self._step) + line, flush=True)


@contextmanager
def running_step(step: str, run: str = "", clock: Clock = time.time) -> Iterator[StepLog]:
    """Yield the function that prints a line of this step; time what happens inside.

    An error for the user ends the process with one line and the error's exit status; any
    other exception goes on, with its traceback.

    Args:
        step: the name shown before each line; one line without "]".
        run: JSON of the RunReference with which the step's record is kept; empty while there is none.
        clock: seconds since the epoch.

    Raises:
        ValueError: when nobody could read the name back.
        SystemExit: with the exit status of a ``SanefitError``.
    """
    if "]" in step or step.splitlines() != [step]:
        raise ValueError(f"step {step!r}: expected a name in one line without ']'")
    started = clock()
    log = StepLog(step, started, clock)
    log.of(RunReference.model_validate_json(run) if run else None)
    try:
        yield log
    except SanefitError as error:
        record = {"message": str(error), "exit_status": error.exit_status}
        print(ERROR_MARK.format(step=step) + json.dumps(record), flush=True)
        log.ended(str(error))
        raise SystemExit(error.exit_status) from None
    except Exception as error:
        log.ended(f"{type(error).__name__}: {first_line(error)}")
        raise
    else:
        log.ended()
    finally:
        timing = StepTiming(step, _process_start(default=started), started, ended=clock())
        print(TIMING_MARK + json.dumps(asdict(timing)), flush=True)
        gc.freeze()  # the interpreter would walk all of torch and mlflow again at exit: 1 s


def _process_start(default: float) -> float:
    """Epoch seconds at which this process began, or ``default`` where /proc is missing."""
    try:
        started_ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        age = float(Path("/proc/uptime").read_text().split()[0]) - started_ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return default
    return time.time() - age
