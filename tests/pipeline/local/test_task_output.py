import io

import pytest

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.step_lines.line_forms import StepError
from sanefit.components.foundation.step_lines.step_log import running_step
from sanefit.pipeline.local.task_output import TaskOutput


def sorted_output(text: str) -> tuple[TaskOutput, list[tuple[str, str]], str]:
    shown: list[tuple[str, str]] = []
    log = io.StringIO()
    output = TaskOutput(log, lambda step, line: shown.append((step, line)))
    output.write(text)
    return output, shown, log.getvalue()


def test_what_a_step_prints_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), running_step("coarse pack 1") as say:
        say("validation_accuracy: 0.5 [1 / 2]")
        raise DataError("class 'a' has 1 image")
    printed = "".join(f"    {line}\n" for line in capsys.readouterr().out.splitlines())  # as kfp.local indents it
    output, shown, log = sorted_output(printed)
    assert shown == [("coarse pack 1", "validation_accuracy: 0.5 [1 / 2]")]
    assert output.errors == [StepError("coarse pack 1", "class 'a' has 1 image", 2)]
    assert [timing.step for timing in output.timings] == ["coarse pack 1"]
    timing = output.timings[0]
    assert timing.process_started <= timing.started <= timing.ended
    assert log == printed


def test_other_output_goes_to_the_log_alone() -> None:
    output, shown, log = sorted_output("[KFP Executor INFO]: x\n{}\n")
    assert (output.errors, output.timings, shown) == ([], [], [])
    assert log == "[KFP Executor INFO]: x\n{}\n"


def test_a_line_may_arrive_in_pieces() -> None:
    shown: list[tuple[str, str]] = []
    output = TaskOutput(io.StringIO(), lambda step, line: shown.append((step, line)))
    for piece in ("    ", "[sanefit st", "ats] mean 1", "\n[sanefit"):
        output.write(piece)
    assert shown == [("stats", "mean 1")]
