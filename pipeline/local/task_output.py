"""What the tasks of a local run print, read line by line while they run."""

import contextlib
import threading
from typing import TextIO

from sanefit.components.foundation.step_lines.line_forms import StepError, StepLine, StepTiming
from sanefit.components.foundation.step_lines.reading import Show, read_line


class TaskOutput:
    """A text stream that sorts the lines written to it; tasks side by side may write at once.

    Everything goes to ``log``; the steps' lines go to ``show``; errors and timings are kept.
    """

    def __init__(self, log: TextIO, show: Show) -> None:
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
                self._sort(line)
            with contextlib.suppress(OSError):  # a disk without room; what is read is for the user, and goes on
                self._log.writelines(line + "\n" for line in lines)
                self._log.flush()
        return len(text)

    def flush(self) -> None:
        """Nothing waits but an unfinished line."""

    def _sort(self, line: str) -> None:
        match read_line(line):
            case StepLine(step, text):
                self._show(step, text)
            case StepError() as error:
                self.errors.append(error)
            case StepTiming() as timing:
                self.timings.append(timing)
