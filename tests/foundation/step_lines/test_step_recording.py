"""What a step says of itself where its run keeps its record."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.run_record import StepRecord
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.step_lines.step_log import running_step
from sanefit.components.foundation.step_lines.step_recording import LONGEST, SECONDS
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.run_record import read_run_record


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Undo the freezing of the garbage collector that ends a step."""
    yield
    gc.unfreeze()


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(tmp_path: Path) -> RunReference:
    return RunReference(run_name="r", storage=str(tmp_path), tracking_uri="", tracking_run_id="")


@pytest.fixture
def kept(run: RunReference) -> Callable[[], StepRecord]:
    """The record of the one step."""

    def read() -> StepRecord:
        [step] = read_run_record(Storage(run.storage).run(run.run_name)).steps
        return step

    return read


def without_usage(record: StepRecord) -> StepRecord:
    return record.model_copy(update={"peak_memory": 0, "cores": 0.0})


def test_a_step_is_seen_from_its_beginning_to_its_end(
    run: RunReference, clock: Clock, kept: Callable[[], StepRecord]
) -> None:
    with running_step("coarse pack 1", run.model_dump_json(), clock) as say:
        assert kept() == StepRecord(step="coarse pack 1", state="running", started=1000.0)
        clock.now += SECONDS - 1
        say("too early to be kept")
        assert kept().said == ""
        clock.now += 1
        say("first\nlast")
        assert kept().peak_memory > 2**20
        assert without_usage(kept()) == StepRecord(step="coarse pack 1", state="running", started=1000.0, said="last")
        clock.now += 1
    ended = 1000.0 + SECONDS + 1
    assert without_usage(kept()) == StepRecord(
        step="coarse pack 1", state="succeeded", started=1000.0, ended=ended, said="last"
    )


@pytest.mark.parametrize(
    ("error", "caught", "reason"),
    [
        (
            RunFailedError("identical neurons;\nset network.init=he"),
            SystemExit,
            "identical neurons; set network.init=he",
        ),
        (KeyError("width"), KeyError, "KeyError: 'width'"),
        (MemoryError(), MemoryError, "MemoryError: MemoryError"),
    ],
)
def test_a_step_that_fails_says_why(
    error: Exception,
    caught: type[BaseException],
    reason: str,
    run: RunReference,
    clock: Clock,
    kept: Callable[[], StepRecord],
) -> None:
    with pytest.raises(caught), running_step("gate", run.model_dump_json(), clock):
        raise error
    assert (kept().state, kept().reason, kept().ended) == ("failed", reason, 1000.0)


def test_the_next_try_of_a_step_takes_the_place_of_the_one_before(
    run: RunReference, clock: Clock, kept: Callable[[], StepRecord]
) -> None:
    with pytest.raises(SystemExit), running_step("train", run.model_dump_json(), clock):
        raise RunFailedError("no room")
    with running_step("train", run.model_dump_json(), clock):
        assert (kept().state, kept().reason) == ("running", "")
    assert (kept().state, kept().reason) == ("succeeded", "")


def test_a_step_that_learns_its_run_later_is_kept_from_then_on(
    run: RunReference, clock: Clock, kept: Callable[[], StepRecord], tmp_path: Path
) -> None:
    with running_step("open run", clock=clock) as say:
        say("before it is open")
        assert list(tmp_path.iterdir()) == []
        clock.now += 3
        say.of(run)
    assert (kept().state, kept().started, kept().ended) == ("succeeded", 1000.0, 1003.0)


def test_storage_that_refuses_is_said_once_and_ends_nothing(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    run = RunReference(run_name="r", storage=str(tmp_path), tracking_uri="", tracking_run_id="")
    with running_step("report", run.model_dump_json(), clock) as say:
        clock.now += SECONDS
        say("work goes on")
    lines = capsys.readouterr().out.splitlines()
    assert sum("whoever watches the run does not see this step" in line for line in lines) == 1
    assert "[sanefit report] work goes on" in lines


def test_a_reason_of_any_length_is_kept_short(run: RunReference, clock: Clock, kept: Callable[[], StepRecord]) -> None:
    with pytest.raises(SystemExit), running_step("gate", run.model_dump_json(), clock):
        raise RunFailedError("x" * 10_000)
    assert len(kept().reason) == LONGEST
    assert kept().reason.endswith("x…")


def test_what_another_version_wrote_is_passed_over(run: RunReference, clock: Clock) -> None:
    with running_step("gate", run.model_dump_json(), clock):
        pass
    folder = Storage(run.storage).run(run.run_name)
    Path(folder.step("of another version")).write_text('{"step": "x", "status": "fine"}')
    Path(folder.step("cut off")).write_text('{"step": "x"')
    assert [step.step for step in read_run_record(folder).steps] == ["gate"]
