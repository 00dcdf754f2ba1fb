"""Schedules that miss a run, or whose runs fail."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from kfp_server_api import V2beta1RecurringRun  # type: ignore[import-untyped]
from said import Said
from test_schedule import Scheduler, prepared, scheduler  # noqa: F401
from typer.testing import CliRunner

from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.model_registry.api import tell_missed_schedule
from sanefit.pipeline.commands.main import app
from sanefit.pipeline.schedules.cron import parse_cron
from sanefit.pipeline.schedules.punctuality import Punctuality, punctuality
from sanefit.pipeline.schedules.schedule_control import list_schedules

pytestmark = pytest.mark.slow

HOURLY = "0 0 * * * *"


def the_only(scheduler: Scheduler) -> V2beta1RecurringRun:  # noqa: F811
    [schedule] = list_schedules(scheduler.kubeflow)
    return schedule


def at(schedule: V2beta1RecurringRun, minutes: float) -> datetime:
    """So many minutes after the first time that it has after it was made."""
    [first] = parse_cron(HOURLY).next_times(schedule.created_at.astimezone(UTC), 1)
    return first + timedelta(minutes=minutes)


def stands(scheduler: Scheduler, minutes: float) -> Punctuality:  # noqa: F811
    schedule = the_only(scheduler)
    return punctuality(scheduler.kubeflow, schedule, at(schedule, minutes))


def started(scheduler: Scheduler, minutes: float, state: str) -> dict[str, Any]:  # noqa: F811
    schedule = the_only(scheduler)
    run = scheduler.double.store.trigger(schedule.recurring_run_id)
    assert run is not None
    run |= {"state": state, "created_at": at(schedule, minutes).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return run


def test_a_run_is_missed_once_it_had_time_to_begin(scheduler: Scheduler) -> None:  # noqa: F811
    scheduler.set(HOURLY)
    assert stands(scheduler, -1) == Punctuality("digits", "ok", "no run was due yet")
    assert stands(scheduler, 9).state == "ok"
    missed = stands(scheduler, 11)
    due = at(the_only(scheduler), 0)
    assert missed == Punctuality(
        "digits", "missed", f"a run was due at {due:%Y-%m-%d %H:%M} UTC, and none has begun yet"
    )


def test_a_run_that_began_in_time_is_none_missed(scheduler: Scheduler) -> None:  # noqa: F811
    scheduler.set(HOURLY)
    started(scheduler, 0.2, "SUCCEEDED")
    assert stands(scheduler, 50).state == "ok"
    later = stands(scheduler, 71)
    assert later.state == "missed"
    assert "and the last began at" in later.said


def test_a_run_in_progress_keeps_the_next_from_beginning(scheduler: Scheduler) -> None:  # noqa: F811
    scheduler.set(HOURLY)
    run = started(scheduler, 0.2, "RUNNING")
    assert stands(scheduler, 190) == Punctuality("digits", "ok", f"{run['display_name']} is in progress")


def test_the_last_run_that_failed_is_told_and_an_earlier_one_not(scheduler: Scheduler) -> None:  # noqa: F811
    scheduler.set(HOURLY)
    run = started(scheduler, 0.2, "FAILED")
    assert stands(scheduler, 20) == Punctuality("digits", "failed", f"its last run, {run['display_name']}, failed")
    started(scheduler, 60.2, "SUCCEEDED")
    assert stands(scheduler, 80).state == "ok"


def test_a_scheduler_of_another_zone_is_given_a_day(scheduler: Scheduler) -> None:  # noqa: F811
    """At 3 in Berlin is at 1 or 2 of UTC: looked at in UTC no run is missed, until a day has passed."""
    scheduler.set("0 0 3 * * *")
    schedule = the_only(scheduler)
    [three] = parse_cron("0 0 3 * * *").next_times(schedule.created_at.astimezone(ZoneInfo("Europe/Berlin")), 1)
    run = scheduler.double.store.trigger(schedule.recurring_run_id)
    assert run is not None
    run |= {"state": "SUCCEEDED", "created_at": three.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}

    def after(hours: float, zone: str) -> str:
        now = (three + timedelta(hours=hours)).astimezone(ZoneInfo(zone))
        return punctuality(scheduler.kubeflow, the_only(scheduler), now).state

    assert [after(hours, "UTC") for hours in (5, 20, 60)] == ["ok", "ok", "missed"]
    assert [after(hours, "Europe/Berlin") for hours in (5, 20, 25, 60)] == ["ok", "ok", "missed", "missed"]


def test_what_kubeflow_notes_at_each_look_changes_nothing(scheduler: Scheduler) -> None:  # noqa: F811
    scheduler.set(HOURLY)
    schedule = the_only(scheduler)
    now = at(schedule, 500).strftime("%Y-%m-%dT%H:%M:%SZ")
    scheduler.double.store.schedules[schedule.recurring_run_id]["updated_at"] = now
    assert stands(scheduler, 500).state == "missed"


def test_a_schedule_that_is_paused_misses_nothing(scheduler: Scheduler) -> None:  # noqa: F811
    scheduler.set(HOURLY)
    scheduler.double.store.switch_schedule(the_only(scheduler).recurring_run_id, "DISABLED")
    assert stands(scheduler, 500) == Punctuality("digits", "ok", "is paused")


def test_the_command_says_it_and_exits_with_1_when_something_is_wrong(scheduler: Scheduler) -> None:  # noqa: F811
    def checked(*options: str) -> Any:
        return CliRunner().invoke(app, ["schedule", "check", "--endpoint", scheduler.double.url, *options])

    assert (checked().stdout, checked().exit_code) == ("no schedules\n", 0)
    scheduler.set("0 0 0 1 1 *")
    assert (checked().stdout, checked().exit_code) == ("digits  ok      no run was due yet\n", 0)
    run = started(scheduler, 0.2, "FAILED")
    assert checked().exit_code == 1
    result = json.loads(checked("--json").stdout)
    said = f"its last run, {run['display_name']}, failed"
    assert result == {"status": "failed", "schedules": [{"name": "digits", "state": "failed", "said": said}]}


def test_whom_the_schedule_names_is_told(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"import sys, pathlib; pathlib.Path({str(told)!r}).write_text(sys.stdin.read())"
    registry = RegistrySettings(notify_command=(sys.executable, "-c", program))
    said = Said()
    tell_missed_schedule(registry.model_dump_json(), "digits", "a run was due", said)
    assert json.loads(told.read_text()) == {
        "event": "missed",
        "text": "Schedule digits: a run was due",
        "schedule": "digits",
        "reason": "a run was due",
    }
    tell_missed_schedule(RegistrySettings().model_dump_json(), "digits", "a run was due", said)
    tell_missed_schedule('{"other": 1}', "digits", "a run was due", said)
    assert said[-1].startswith("warning: schedule 'digits' is of another version of sanefit")
