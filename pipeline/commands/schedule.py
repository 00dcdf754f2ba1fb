"""The commands ``sanefit schedule``."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.commands.options import CaCert, Config, Endpoint, Json, Namespace, Set
from sanefit.pipeline.settings.example_configs import DEFAULT_CONFIG

schedule = typer.Typer(help="Recurring runs on the cluster.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The configuration's name.")]
Wait = Annotated[bool, typer.Option("--wait", help="For a run in progress to end, instead of refusing.")]
NEXT_TIMES = 3
TIME_ZONE = "UTC, unless CRON_SCHEDULE_TIMEZONE of ml-pipeline-scheduledworkflow says otherwise"


@schedule.command("set", epilog="Example: sanefit schedule set my.yaml --cron '0 3 * * 1'")
def set_schedule(
    cron: Annotated[str, typer.Option(metavar="CRON", help="5 fields, or 6 with seconds first; in UTC.")],
    config: Config = DEFAULT_CONFIG,
    set_: Set = None,
    wait: Wait = False,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """Create or change the schedule of a configuration; nothing is done when nothing changed."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.pipeline_version import upload
    from sanefit.pipeline.schedules import schedule as schedules
    from sanefit.pipeline.schedules.cron import parse_cron
    from sanefit.pipeline.schedules.recurring_runs import Wanted
    from sanefit.pipeline.settings.run_config import load_config

    parsed = parse_cron(cron)
    times = parsed.next_times(datetime.now(UTC), NEXT_TIMES)
    settings = load_config(config, set_ or ())
    kubeflow = connect(endpoint, namespace, ca_cert)
    wanted = Wanted(settings.name, parsed.text, settings.cluster.service_account, upload(settings, kubeflow))
    with _terminate_as_interrupt():
        outcome = schedules.set_schedule(kubeflow, wanted, wait, _say)
    if as_json:
        result = {"name": settings.name, "cron": parsed.text, "next": [time.isoformat() for time in times]}
        _print({**result, "change": outcome.change, "id": outcome.recurring_run_id, "enabled": outcome.enabled})
        return
    print(f"{settings.name} {_said(outcome.change, outcome.enabled, settings.name)}")
    print(f"{'cron':<14} {parsed.text}, seconds first, in {TIME_ZONE}")
    for time in times if outcome.enabled else ():
        print(f"{'next':<14} {time:%a %Y-%m-%d %H:%M:%S} UTC, here {time.astimezone():%a %Y-%m-%d %H:%M:%S %Z}")


@schedule.command("list", epilog="Example: sanefit schedule list --json")
def list_(endpoint: Endpoint = "", namespace: Namespace = "", ca_cert: CaCert = None, as_json: Json = False) -> None:
    """All schedules."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.schedules.recurring_runs import cron_of, is_enabled
    from sanefit.pipeline.schedules.schedule_control import list_schedules

    found = [
        {
            "name": one.display_name,
            "enabled": is_enabled(one),
            "cron": cron_of(one),
            "id": one.recurring_run_id,
        }
        for one in list_schedules(connect(endpoint, namespace, ca_cert))
    ]
    if as_json:
        _print({"schedules": found})
        return
    width = max((len(one["name"]) for one in found), default=0)
    for one in found:
        print(f"{one['name']:<{width}}  {'enabled' if one['enabled'] else 'paused':<7}  {one['cron']:<20}  {one['id']}")
    if not found:
        print("no schedules")


@schedule.command(epilog="Example: sanefit schedule check")
def check(
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Of Kubeflow's scheduler, as Europe/Berlin.")] = "UTC",
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """Say which schedules missed a run, or failed the last time; exit with 1 then, and notify of a miss."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.schedules.punctuality import punctuality
    from sanefit.pipeline.schedules.schedule_control import list_schedules

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(f"--timezone {timezone!r}: expected the name of a zone, as Europe/Berlin") from None
    kubeflow = connect(endpoint, namespace, ca_cert)
    found = []
    for one in list_schedules(kubeflow):
        stands = punctuality(kubeflow, one, datetime.now(zone))
        found.append({"name": stands.name, "state": stands.state, "said": stands.said})
        if not as_json:
            print(f"{stands.name}  {stands.state:<6}  {stands.said}", flush=True)
        if stands.state == "missed":
            _tell_miss(one, stands.said)
    wrong = any(one["state"] != "ok" for one in found)
    if as_json:
        print(json.dumps({"status": "failed" if wrong else "succeeded", "schedules": found}))
    elif not found:
        print("no schedules")
    sys.exit(1 if wrong else 0)


def _tell_miss(schedule: Any, said: str) -> None:
    """Whom the schedule's own configuration names."""
    from sanefit.components.model_registry.api import tell_missed_schedule

    parameters = schedule.runtime_config.parameters if schedule.runtime_config else {}
    tell_missed_schedule(str(parameters.get("registry", "")), str(schedule.display_name), said, _say)


@schedule.command(epilog="Example: sanefit schedule pause digits")
def pause(
    name: Name, endpoint: Endpoint = "", namespace: Namespace = "", ca_cert: CaCert = None, as_json: Json = False
) -> None:
    """Start no more runs; one in progress goes on."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.schedules.schedule_control import pause_schedule

    changed = pause_schedule(connect(endpoint, namespace, ca_cert), name)
    _report(name, "is paused" if changed else "was paused already", as_json)


@schedule.command(epilog="Example: sanefit schedule resume digits")
def resume(
    name: Name, endpoint: Endpoint = "", namespace: Namespace = "", ca_cert: CaCert = None, as_json: Json = False
) -> None:
    """Start runs again; one that was due meanwhile starts at once."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.schedules.schedule_control import resume_schedule

    changed = resume_schedule(connect(endpoint, namespace, ca_cert), name)
    said = "is resumed; if a run was due meanwhile, it starts now" if changed else "was not paused"
    _report(name, said, as_json)


@schedule.command(epilog="Example: sanefit schedule delete digits --wait")
def delete(
    name: Name,
    wait: Wait = False,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """Delete a schedule; its runs stay, and one in progress is never stopped."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.schedules import schedule as schedules

    with _terminate_as_interrupt():
        schedules.delete_schedule(connect(endpoint, namespace, ca_cert), name, wait, _say)
    _report(name, "is deleted", as_json)


def _said(change: str, enabled: bool, name: str) -> str:
    state = "" if enabled else f"; it stays paused: sanefit schedule resume {name}"
    return {"unchanged": "is set like this already, nothing was done"}.get(change, f"is {change}") + state


def _report(name: str, said: str, as_json: bool) -> None:
    if as_json:
        _print({"name": name, "said": said})
    else:
        print(f"{name} {said}")


def _print(result: dict[str, Any]) -> None:
    print(json.dumps({"status": "succeeded", **result}))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, as from a cancelled CI job, put the schedule back as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
