"""The commands ``sanefit registry``."""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sanefit.pipeline.commands.options import DEFAULT_WORKDIR, Json, Workdir, tracking_uri_of

registry = typer.Typer(
    help="Versions of a model in MLflow, and which is champion.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The registered model: the configuration's name.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Its number.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the version.")]


@registry.command(epilog="Example: sanefit registry show digits")
def show(name: Name, workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False) -> None:
    """All versions, with their test accuracies and aliases."""
    from sanefit.components.model_registry.api import list_versions, open_registry

    records = list_versions(open_registry(_store(workdir)), name)
    if as_json:
        found = [
            {"version": one.version, "aliases": one.aliases, "test_accuracy": one.test_accuracy} for one in records
        ]
        _print({"name": name, "versions": found})
        return
    for one in records:
        accuracy = "      " if one.test_accuracy is None else f"{one.test_accuracy:.4f}"
        print(f"{one.version:>5}  test accuracy {accuracy}  {', '.join(one.aliases)}".rstrip())


@registry.command(epilog="Example: sanefit registry history digits")
def history(name: Name, workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False) -> None:
    """Every version that became champion, or was to: when, over which, by whom and why."""
    from sanefit.components.model_registry.api import list_changes, open_registry

    changes = list_changes(open_registry(_store(workdir)), name)
    if as_json:
        _print({"name": name, "changes": [vars(change) for change in changes]})
        return
    for change in changes:
        over = f" over {change.over}" if change.over else ""
        print(f"{change.time}  version {change.version}{over}, by {change.by}: {change.why}")
    if not changes:
        print(f"no version of {name!r} was ever to be champion")


@registry.command(epilog="Example: sanefit registry compare digits 7")
def compare(
    name: Name,
    version: Version,
    other: Annotated[str, typer.Argument(metavar="[OTHER]", help="Another one.", show_default="the champion")] = "",
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """What differs between two versions: accuracy, settings, data, code."""
    from sanefit.components.model_registry.api import compare_versions, open_registry
    from sanefit.pipeline.commands.version_table import print_versions

    found = compare_versions(open_registry(_store(workdir)), name, version, other)
    if as_json:
        _print({"name": name, **found.model_dump(mode="json")})
    else:
        print_versions(name, found)


@registry.command(epilog="Example: sanefit registry promote digits 7 --reason 'checked on the shop floor'")
def promote(
    name: Name,
    version: Version,
    reason: Reason = "",
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Make a version champion, whatever its test says."""
    from sanefit.components.model_registry import api

    tracking = api.open_registry(_store(workdir))
    placed = api.promote(tracking, name, version, getpass.getuser(), reason, datetime.now(UTC))
    _report(name, version, placed.replaced, as_json)


@registry.command(epilog="Example: sanefit registry rollback digits --reason 'calls every cat a dog'")
def rollback(name: Name, reason: Reason = "", workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False) -> None:
    """Put the champion before the present one back."""
    from sanefit.components.model_registry import api

    tracking = api.open_registry(_store(workdir))
    version, placed = api.roll_back(tracking, name, getpass.getuser(), reason, datetime.now(UTC))
    _report(name, version, placed.replaced, as_json)


def _store(workdir: Path) -> str:
    from sanefit.pipeline.local.reachable_places import require_reachable

    uri = tracking_uri_of(workdir.expanduser().absolute())
    require_reachable(uri)
    return uri


def _report(name: str, version: str, replaced: str, as_json: bool) -> None:
    if as_json:
        _print({"name": name, "champion": version, "replaced": replaced or None})
        return
    print(f"models:/{name}/{version} is champion" + (f", in place of version {replaced}" if replaced else ""))


def _print(result: dict[str, Any]) -> None:
    print(json.dumps({"status": "succeeded", **result}))
