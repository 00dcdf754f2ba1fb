"""What a step printed, read line by line."""

import contextlib
import json
import re
from collections.abc import Callable

from sanefit.components.foundation.step_lines.line_forms import (
    ERROR_MARK,
    LINE_MARK,
    TIMING_MARK,
    StepError,
    StepLine,
    StepTiming,
)

Show = Callable[[str, str], None]  # takes a step and the text of its line


def read_line(line: str) -> StepLine | StepError | StepTiming | None:
    """What a line says, however far it is indented; None for one that no step of this version printed.

    Args:
        line: without its end.
    """
    if match := _LINE.match(line):
        return StepLine(match["step"], match["said"])
    with contextlib.suppress(ValueError, TypeError):  # cut off, or with other fields
        if match := _ERROR.match(line):
            return StepError(step=match["step"], **json.loads(match["said"]))
        if match := _TIMING.match(line):
            return StepTiming(**json.loads(match["said"]))
    return None


def _after(mark: str, said: str) -> re.Pattern[str]:
    before, _, after = mark.partition("{step}")
    step = r"(?P<step>[^\]]+)" if after else ""
    return re.compile(rf"\s*{re.escape(before)}{step}{re.escape(after)}(?P<said>{said})$")


_LINE = _after(LINE_MARK, ".*")
_ERROR = _after(ERROR_MARK, r"\{.*\}")
_TIMING = _after(TIMING_MARK, r"\{.*\}")
