"""What a step prints is what is read."""

import contextlib
import gc
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import DataError, RunFailedError, SanefitError
from sanefit.components.foundation.step_lines.line_forms import StepError, StepLine, StepTiming
from sanefit.components.foundation.step_lines.reading import read_line
from sanefit.components.foundation.step_lines.step_log import running_step

NAMES = st.text(min_size=1).filter(lambda name: "]" not in name and name.splitlines() == [name])
MARKS = st.sampled_from(
    ["[sanefit a] b", "[sanefit-error a] {}", "[sanefit-timing] {}", '{"step": "a"}', "]", "\r", ""]
)
TEXTS = st.text() | MARKS


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Undo the freezing of the garbage collector that ends a step."""
    yield
    gc.unfreeze()


def read_back(printed: str, indent: str = "") -> list[StepLine | StepError | StepTiming | None]:
    return [read_line(indent + line) for line in printed.split("\n")[:-1]]


@given(step=NAMES, texts=st.lists(TEXTS, max_size=3), indent=st.sampled_from(["", "    "]))
def test_lines_are_read_back_whatever_the_steps_name_and_the_text(step: str, texts: list[str], indent: str) -> None:
    ticks = iter([5.0, 7.25])
    with contextlib.redirect_stdout(io.StringIO()) as out, running_step(step, clock=lambda: next(ticks)) as say:
        for text in texts:
            say(text)
    *lines, timing = read_back(out.getvalue(), indent)
    assert lines == [StepLine(step, line) for text in texts for line in text.splitlines() or [""]]
    assert isinstance(timing, StepTiming)
    assert (timing.step, timing.started, timing.ended) == (step, 5.0, 7.25)


@given(step=NAMES, text=TEXTS, kind=st.sampled_from([DataError, RunFailedError]))
def test_an_error_is_read_back_whatever_the_steps_name_and_its_message(
    step: str, text: str, kind: type[SanefitError]
) -> None:
    error = kind(text)
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit), running_step(step):
        raise error
    found, timing = read_back(out.getvalue())
    assert found == StepError(step, str(error), error.exit_status)
    assert isinstance(timing, StepTiming)


@pytest.mark.parametrize("step", ["", "a]", "a\nb", "a\u2028b"])
def test_a_name_that_could_not_be_read_back_is_refused(step: str) -> None:
    with pytest.raises(ValueError, match="expected a name in one line"), running_step(step):
        pass


OTHER = ["", "[KFP Executor INFO]: x", "{}", "sanefit a", "[sanefit] a", "x [sanefit a] b"]
OF_OTHER_VERSIONS = ["[sanefit-timing] {}", "[sanefit-error a] {}", '[sanefit-error a] {"message}']


@pytest.mark.parametrize("line", [*OTHER, *OF_OTHER_VERSIONS])
def test_other_lines_say_nothing(line: str) -> None:
    assert read_line(line) is None
