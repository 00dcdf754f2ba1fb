"""What a step prints: lines for the user, and one line that says how long it computed; ``reading`` reads them."""

import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.errors import SanefitError
from sanefit.components.foundation.step_lines.line_forms import ERROR_MARK, LINE_MARK, TIMING_MARK, StepTiming

Say = Callable[[str], None]


@contextmanager
def running_step(step: str, clock: Clock = time.time) -> Iterator[Say]:
    """Yield the function that prints a line of this step; time what happens inside.

    An error for the user ends the process with one line and the error's exit status; any
    other exception goes on, with its traceback.

    Args:
        step: the name shown before each line; one line without "]".
        clock: seconds since the epoch.

    Raises:
        ValueError: when nobody could read the name back.
        SystemExit: with the exit status of a ``SanefitError``.
    """
    if "]" in step or step.splitlines() != [step]:
        raise ValueError(f"step {step!r}: expected a name in one line without ']'")

    def say(text: str) -> None:
        for line in text.splitlines() or [""]:
            print(LINE_MARK.format(step=step) + line, flush=True)

    started = clock()
    try:
        yield say
    except SanefitError as error:
        record = {"message": str(error), "exit_status": error.exit_status}
        print(ERROR_MARK.format(step=step) + json.dumps(record), flush=True)
        raise SystemExit(error.exit_status) from None
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
