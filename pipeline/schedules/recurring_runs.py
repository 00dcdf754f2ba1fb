"""Recurring runs of Kubeflow: the requests, and what sanefit reads from them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kfp_server_api import (  # type: ignore[import-untyped]
    RecurringRunServiceApi,
    V2beta1CronSchedule,
    V2beta1RecurringRun,
    V2beta1RuntimeConfig,
    V2beta1Trigger,
)

from sanefit.pipeline.kubeflow.client.api import Kubeflow, predicates
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.cluster_runs import runs_in_progress
from sanefit.pipeline.kubeflow.runs.pipeline_version import Uploaded

ONE_AT_A_TIME = 1
SUCCESSOR = re.compile(r"sanefit: takes over from (?P<ids>[\w -]+), (?P<state>enabled|paused)")  # a description


@dataclass(frozen=True)
class Wanted:
    """A schedule as the configuration and ``--cron`` ask for it."""

    name: str
    cron: str
    service_account: str
    uploaded: Uploaded


def find_all(kubeflow: Kubeflow, pipeline_id: str, name: str | None = None) -> list[V2beta1RecurringRun]:
    """Recurring runs of sanefit's pipeline, oldest first; of one name, or all."""
    named: dict[str, Any] = {"filter": predicates(("display_name", "EQUALS", name))} if name is not None else {}
    found = kubeflow.pages(
        "list jobs",
        RecurringRunServiceApi(kubeflow.client).recurring_run_service_list_recurring_runs,
        "recurring_runs",
        **kubeflow.in_namespace(),
        **named,
    )
    ours = [
        one
        for one in found
        if one.pipeline_version_reference is not None
        and one.pipeline_version_reference.pipeline_id == pipeline_id
        and name in (None, one.display_name)
    ]
    return sorted(ours, key=lambda one: (one.created_at, one.recurring_run_id))


def create(
    kubeflow: Kubeflow, wanted: Wanted, *, enabled: bool, replaces: Sequence[str] = (), takes_over_enabled: bool = False
) -> V2beta1RecurringRun:
    """Create one.

    Args:
        kubeflow: the connection.
        wanted: what it does.
        enabled: whether it starts runs from now on.
        replaces: the ids of those that it will take over from.
        takes_over_enabled: whether it will start runs then.
    """
    state = "enabled" if takes_over_enabled else "paused"
    body = V2beta1RecurringRun(
        display_name=wanted.name,
        description=f"sanefit: takes over from {' '.join(replaces)}, {state}" if replaces else "sanefit",
        experiment_id=wanted.uploaded.experiment_id,
        pipeline_version_reference=wanted.uploaded.reference(),
        runtime_config=V2beta1RuntimeConfig(parameters=dict(wanted.uploaded.parameters)),
        service_account=wanted.service_account,
        max_concurrency=str(ONE_AT_A_TIME),
        no_catchup=True,
        mode="ENABLE" if enabled else "DISABLE",
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=wanted.cron)),
    )
    return kubeflow.call("create jobs", _api(kubeflow).recurring_run_service_create_recurring_run, body)


def enable(kubeflow: Kubeflow, recurring: V2beta1RecurringRun) -> None:
    """Let it start runs; one that was due meanwhile starts at once."""
    method = _api(kubeflow).recurring_run_service_enable_recurring_run
    kubeflow.call("enable jobs", method, recurring.recurring_run_id)


def disable(kubeflow: Kubeflow, recurring: V2beta1RecurringRun) -> None:
    """Let it start no more runs; one in progress goes on."""
    method = _api(kubeflow).recurring_run_service_disable_recurring_run
    kubeflow.call("disable jobs", method, recurring.recurring_run_id)


def delete(kubeflow: Kubeflow, recurring: V2beta1RecurringRun) -> None:
    """Delete one that has no run in progress, for its runs would be deleted with it.

    Servers from 2.16 can leave them, as is asked for here in case one begins right now.
    """
    method = _api(kubeflow).recurring_run_service_delete_recurring_run
    try:
        kubeflow.call("delete jobs", method, recurring.recurring_run_id, propagation_policy="ORPHAN")
    except KubeflowError as error:
        if error.status != 404:
            raise


def names_in_progress(kubeflow: Kubeflow, recurring: list[V2beta1RecurringRun]) -> list[str]:
    """The names of runs that they started and that have not ended."""
    return [str(run.display_name) for one in recurring for run in runs_in_progress(kubeflow, one.recurring_run_id)]


def is_enabled(recurring: V2beta1RecurringRun) -> bool:
    """Whether it starts runs."""
    return bool(recurring.status == "ENABLED")


def replaced_by(recurring: V2beta1RecurringRun) -> set[str]:
    """The ids of those that it was created to take over from."""
    match = SUCCESSOR.fullmatch(str(recurring.description or ""))
    return {*match["ids"].split()} if match else set()


def takes_over_enabled(recurring: V2beta1RecurringRun) -> bool:
    """Whether it was created to start runs once it has taken over."""
    match = SUCCESSOR.fullmatch(str(recurring.description or ""))
    return match is not None and match["state"] == "enabled"


def is_same(recurring: V2beta1RecurringRun, wanted: Wanted) -> bool:
    """Whether it does what is asked for, paused or not."""
    return _compared(recurring) == {
        "version": wanted.uploaded.version_id,
        "experiment": wanted.uploaded.experiment_id,
        "parameters": wanted.uploaded.parameters,
        "service account": wanted.service_account,
        "cron": wanted.cron,
        "bounds": (None, None),
        "at a time": ONE_AT_A_TIME,
        "catch-up": False,
    }


def cron_of(recurring: V2beta1RecurringRun) -> str:
    """The cron expression; empty for a period."""
    trigger = recurring.trigger
    return str(trigger.cron_schedule.cron) if trigger and trigger.cron_schedule else ""


def _compared(recurring: V2beta1RecurringRun) -> dict[str, Any]:
    trigger, settings = recurring.trigger, recurring.runtime_config
    cron = trigger.cron_schedule if trigger else None
    return {
        "version": recurring.pipeline_version_reference.pipeline_version_id,
        "experiment": recurring.experiment_id,
        "parameters": (settings.parameters if settings else None) or {},
        "service account": recurring.service_account,
        "cron": cron_of(recurring),
        "bounds": (cron.start_time, cron.end_time) if cron else (None, None),
        "at a time": int(recurring.max_concurrency or 0),
        "catch-up": not recurring.no_catchup,
    }


def _api(kubeflow: Kubeflow) -> Any:
    return RecurringRunServiceApi(kubeflow.client)
