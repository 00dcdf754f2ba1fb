import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from sanefit.components.foundation.errors import (
    ChecksFailedError,
    DataError,
    RunFailedError,
    SanefitError,
    SettingsError,
)
from sanefit.components.foundation.step_lines.line_forms import ERROR_MARK, LINE_MARK, TIMING_MARK
from sanefit.components.foundation.step_lines.step_log import running_step

Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Undo the freezing of the garbage collector that ends a step."""
    yield
    gc.unfreeze()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return lambda: capsys.readouterr().out.splitlines()


def timing_of(line: str) -> dict[str, float | str]:
    assert line.startswith(TIMING_MARK)
    record: dict[str, float | str] = json.loads(line.removeprefix(TIMING_MARK))
    return record


def test_a_line_carries_the_mark_of_its_step(lines: Lines) -> None:
    with running_step("snapshot") as say:
        say("1,797 images")
        say("fingerprint abc")
    assert LINE_MARK.format(step="snapshot") == "[sanefit snapshot] "
    assert lines()[:2] == ["[sanefit snapshot] 1,797 images", "[sanefit snapshot] fingerprint abc"]


def test_a_line_is_there_at_once(lines: Lines) -> None:
    with running_step("stats") as say:
        say("working")
        assert lines() == ["[sanefit stats] working"]


def test_the_timing_line_comes_last(lines: Lines) -> None:
    ticks = iter([1000.0, 1002.5])
    with running_step("stats", clock=lambda: next(ticks)) as say:
        say("working")
    timing = timing_of(lines()[-1])
    assert (timing["step"], timing["started"], timing["ended"]) == ("stats", 1000.0, 1002.5)


def test_the_timing_knows_when_the_process_began(lines: Lines) -> None:
    with running_step("stats"):
        pass
    timing = timing_of(lines()[-1])
    assert timing["process_started"] == pytest.approx(psutil.Process().create_time(), abs=2)
    assert float(timing["process_started"]) <= float(timing["started"]) <= float(timing["ended"])


@pytest.mark.parametrize(
    ("error", "exit_status"),
    [
        (SettingsError("a"), 2),
        (DataError("class 'cat' has 1 image"), 2),
        (RunFailedError("failed"), 1),
        (ChecksFailedError("failed"), 1),
        (DataError("two\nlines and “quotes”"), 2),
    ],
)
def test_an_error_for_the_user_becomes_one_line_and_an_exit_status(
    error: SanefitError, exit_status: int, lines: Lines
) -> None:
    with pytest.raises(SystemExit) as stopped, running_step("data"):
        raise error
    assert stopped.value.code == exit_status
    record, timing = lines()
    assert ERROR_MARK.format(step="data") == "[sanefit-error data] "
    assert json.loads(record.removeprefix("[sanefit-error data] ")) == {
        "message": str(error),
        "exit_status": exit_status,
    }
    assert timing_of(timing)["step"] == "data"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(7), OSError(5, "input/output")])
def test_any_other_exception_goes_on_after_the_timing(error: BaseException, lines: Lines) -> None:
    with pytest.raises(type(error)) as raised, running_step("data"):
        raise error
    assert raised.value is error
    (timing,) = lines()
    assert timing_of(timing)["step"] == "data"


def test_a_process_ends_without_a_traceback() -> None:
    program = (
        "from sanefit.components.foundation.errors import DataError\n"
        "from sanefit.components.foundation.step_lines.step_log import running_step\n"
        "with running_step('data') as say:\n"
        "    say('looking')\n"
        "    raise DataError('no images')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ""
    marks = [line.split("]")[0] for line in done.stdout.splitlines()]
    assert marks == ["[sanefit data", "[sanefit-error data", "[sanefit-timing"]
