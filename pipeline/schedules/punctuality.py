"""Whether schedules do what they are for: a run began when one was due, and the last one did not fail."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from kfp_server_api import V2beta1RecurringRun  # type: ignore[import-untyped]

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import last_run_of
from sanefit.pipeline.kubeflow.runs.run_states import ENDED
from sanefit.pipeline.schedules.cron import parse_cron
from sanefit.pipeline.schedules.recurring_runs import cron_of, is_enabled

GRACE = timedelta(minutes=10)  # Kubeflow's controller looks every few seconds; more is no delay, but a fault
EARLY = timedelta(minutes=1)  # clocks differ
A_DAY = timedelta(hours=26)  # by which times of one cron differ between zones


@dataclass(frozen=True)
class Punctuality:
    """``state``: ``missed``: no run began when one was due; ``failed``: the last run did. ``said``: in words."""

    name: str
    state: Literal["ok", "missed", "failed"]
    said: str


def punctuality(kubeflow: Kubeflow, schedule: V2beta1RecurringRun, now: datetime) -> Punctuality:
    """How it stands with a schedule; one that is paused is ``ok``.

    Args:
        kubeflow: the connection.
        schedule: as the API gives it.
        now: in the zone of Kubeflow's scheduler.
    """
    name, newest = str(schedule.display_name), last_run_of(kubeflow, schedule.recurring_run_id)
    if newest is not None and newest.state == "FAILED":
        return Punctuality(name, "failed", f"its last run, {newest.display_name}, failed")
    if not is_enabled(schedule):
        return Punctuality(name, "ok", "is paused")
    due = _due(schedule, now - GRACE)
    if newest is not None and due is not None and not _is_on_time(schedule, newest.created_at.astimezone(now.tzinfo)):
        due = _due(schedule, now - GRACE - A_DAY)  # resumed at another time, or the scheduler has another zone
    if due is None:
        return Punctuality(name, "ok", "no run was due yet")
    if newest is not None and newest.state not in ENDED:
        return Punctuality(name, "ok", f"{newest.display_name} is in progress")
    if newest is None or newest.created_at < due - EARLY:
        last = "none has begun yet" if newest is None else f"the last began at {_shown(newest.created_at)}"
        return Punctuality(name, "missed", f"a run was due at {_shown(due)}, and {last}")
    return Punctuality(name, "ok", f"{newest.display_name} began at {_shown(newest.created_at)}")


def _due(schedule: V2beta1RecurringRun, before: datetime) -> datetime | None:
    """When the last run before a time should have begun; None when the schedule was not there yet.

    Kubeflow's own time of its last change tells nothing: each look of its controllers sets it.
    """
    try:
        due = parse_cron(cron_of(schedule)).last_time(before)
    except SettingsError:  # a period, or written by someone else
        return None
    return due if due is not None and due > schedule.created_at else None


def _is_on_time(schedule: V2beta1RecurringRun, began: datetime) -> bool:
    """Whether a run began when the cron says so, in the zone of ``began``."""
    last = parse_cron(cron_of(schedule)).last_time(began + EARLY)
    return last is not None and began - last <= GRACE


def _shown(time: Any) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
