"""The reason that a failed run is closed with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import StoppedError
from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord
from sanefit.components.foundation.schemas.runs import RunSummary
from sanefit.components.model_registry.run_failure import has_succeeded, why_failed

STATES = ["SUCCEEDED", "COMPLETE", "CACHED", "FAILED", "CANCELED", "CANCELLED", "SKIPPED", "RUNNING", "PENDING"]
STEPS = st.builds(
    StepRecord,
    step=st.sampled_from(["gate", "coarse plan", "coarse pack 1", "train"]),
    state=st.sampled_from(["running", "succeeded", "failed"]),
    started=st.floats(0, 1e9),
    ended=st.none() | st.floats(0, 1e9),
    reason=st.sampled_from(["", "identical neurons", "no room"]),
)


def step(name: str, state: str, started: float, ended: float | None = None, reason: str = "") -> StepRecord:
    return StepRecord.model_validate(
        {"step": name, "state": state, "started": started, "ended": ended, "reason": reason}
    )


def summary(failed_checks: list[str], model_uri: str | None = None) -> RunSummary:
    return RunSummary(run_name="r", fingerprint="f", failed_checks=failed_checks, model_uri=model_uri)


@given(steps=st.lists(STEPS, max_size=4), state=st.sampled_from(STATES), checks=st.lists(st.just("W1"), max_size=1))
def test_the_reason_is_never_the_state_of_an_orchestrator(
    steps: list[StepRecord], state: str, checks: list[str]
) -> None:
    for message in ("", state, state.lower()):
        reason = why_failed(RunRecord(steps=steps), summary(checks), message)
        assert reason
        assert reason.upper() not in STATES
        assert "RUNNING" not in reason


def test_the_step_that_failed_first_says_why() -> None:
    steps = [
        step("coarse pack 2", "failed", 1.0, 9.0, "no room"),
        step("coarse pack 1", "failed", 2.0, 8.0, "identical neurons"),
        step("coarse plan", "succeeded", 0.0, 1.0),
    ]
    assert why_failed(RunRecord(steps=steps), summary(["W1"]), "message") == "coarse pack 1: identical neurons"


def test_who_stopped_a_run_says_more_than_that_its_steps_were_told_to_end() -> None:
    told = step("coarse pack 1", "failed", 1.0, 2.0, str(StoppedError("after batch 3")))
    assert why_failed(RunRecord(steps=[told]), None, "stopped on request") == "stopped on request"
    assert why_failed(RunRecord(steps=[told]), None, "FAILED") == "coarse pack 1: told to end (SIGTERM) after batch 3"
    failed = step("coarse pack 2", "failed", 1.0, 3.0, "no room")
    assert why_failed(RunRecord(steps=[told, failed]), None, "stopped on request") == "coarse pack 2: no room"


def test_failed_checks_say_more_than_a_message_and_a_message_more_than_nothing() -> None:
    assert why_failed(RunRecord(), summary(["W1 fails", "W2 fails"]), "message") == "W1 fails | W2 fails"
    assert why_failed(RunRecord(), summary([]), "a pod vanished") == "a pod vanished"


def test_a_container_that_was_killed_is_named() -> None:
    steps = [step("train", "running", 5.0), step("fine rank", "succeeded", 3.0, 4.0)]
    assert why_failed(RunRecord(steps=steps), None, "").startswith("train: ended without a word")


def test_a_container_that_never_started_is_told_by_what_came_before() -> None:
    steps = [step("gate", "succeeded", 3.0, 4.0), step("first report", "succeeded", 1.0, 2.0)]
    reason = why_failed(RunRecord(steps=steps), None, "RUNNING")
    assert reason.startswith("it ended after 'gate', and no step said why: a container may not have started")


@pytest.mark.parametrize("state", STATES)
def test_what_was_written_counts_where_the_state_says_nothing(state: str) -> None:
    unknown = state in ("RUNNING", "PENDING")
    good = state in ("SUCCEEDED", "COMPLETE", "CACHED")
    assert has_succeeded(state, None) == good
    assert has_succeeded(state, summary([])) == good
    assert has_succeeded(state, summary([], "models:/digits/1")) == (good or unknown)
