"""What the tasks of a local run print, read line by line while they run."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

LINE = re.compile(r"^\s*\[sanefit (?P<step>[^\]]+)\] (?P<text>.*)$")
ERROR = re.compile(r"^\s*\[sanefit-error (?P<step>[^\]]+)\] (?P<record>\{.*\})$")
TIMING = re.compile(r"^\s*\[sanefit-timing\] (?P<record>\{.*\})$")


@dataclass(frozen=True)
class StepError:
    """An error that a step raised for the user."""

    step: str
    message: str
    exit_status: int


@dataclass(frozen=True)
class StepTiming:
    """When a step's process began, and when its own computing did and ended; epoch seconds."""

    step: str
    process_started: float
    started: float
    ended: float


class TaskOutput:
    """A text stream that sorts the lines written to it; tasks side by side may write at once.

    Everything goes to ``log``; the steps' lines go to ``show``; errors and timings are kept.
    """

    def __init__(self, log: TextIO, show: Callable[[str, str], None]) -> None:
        """
        Args:
            log: takes every line as it is.
            show: called with the step and the text of each line meant for the user.
        """
        self.errors: list[StepError] = []
        self.timings: list[StepTiming] = []
        self._log = log
        self._show = show
        self._pending = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Take some text; lines are sorted as they become complete."""
        with self._lock:
            *lines, self._pending = (self._pending + text).split("\n")
            for line in lines:
                self._log.write(line + "\n")
                self._sort(line)
            self._log.flush()
        return len(text)

    def flush(self) -> None:
        """Nothing waits but an unfinished line."""

    def _sort(self, line: str) -> None:
        if match := LINE.match(line):
            self._show(match["step"], match["text"])
        elif match := ERROR.match(line):
            self.errors.append(StepError(step=match["step"], **json.loads(match["record"])))
        elif match := TIMING.match(line):
            self.timings.append(StepTiming(**json.loads(match["record"])))
