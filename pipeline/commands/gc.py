"""The command ``sanefit gc``."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.commands.options import DEFAULT_WORKDIR, Config, Json, Set, Workdir, tracking_uri_of
from sanefit.pipeline.settings.example_configs import DEFAULT_CONFIG

if TYPE_CHECKING:
    from sanefit.components.foundation.storage.disposable import Disposable, Disposables
    from sanefit.pipeline.settings.run_config import RunConfig

DAY = 24 * 3600
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def gc(
    config: Config = DEFAULT_CONFIG,
    set_: Set = None,
    storage: Annotated[
        str, typer.Option(metavar="URI", help="A folder or s3:// prefix.", show_default="the work directory")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Remove what can be made again and was not used for storage.keep_days: pixels, features, what broke off."""
    from sanefit.components.foundation.storage.collection import collect
    from sanefit.components.foundation.storage.disposable import find_disposable
    from sanefit.components.foundation.storage.layout import Storage
    from sanefit.components.foundation.storage.object_store import local_cache
    from sanefit.components.model_registry.api import needed_snapshots_of
    from sanefit.pipeline.settings.run_config import load_config

    keep_days = _keep_days(load_config(config, set_ or ()))
    folder = workdir.expanduser().absolute()
    place, tracking_uri = _place(storage, folder), tracking_uri_of(folder)
    used_since = time.time() - keep_days * DAY

    def find() -> "Disposables":
        return find_disposable(Storage(place), needed_snapshots_of(tracking_uri), used_since, str(local_cache()))

    known = find()
    removed = known.found if dry_run else collect(known.found, lambda: find().found)
    stream = sys.stderr if as_json else sys.stdout
    for line in _lines(known, removed, keep_days, dry_run):
        print(line, file=stream)
    if as_json:
        print(json.dumps(_result(known, removed, dry_run)))


def _keep_days(settings: "RunConfig") -> int:
    keep_days, longest = settings.storage.keep_days, settings.cluster.run_timeout_seconds
    if keep_days * DAY < longest:
        raise SettingsError(
            f"storage.keep_days={keep_days}: a run may take {longest:,} s (cluster.run_timeout_seconds); expected at "
            f"least {-(-longest // DAY)} days, so that none loses what it uses; raise it"
        )
    return keep_days


def _place(storage: str, folder: Path) -> str:
    """The storage; one in an object store needs the MLflow that its runs use to be named."""
    from sanefit.components.foundation.storage.remote_stores import is_remote

    if is_remote(storage):
        if tracking_uri_of(folder).startswith("sqlite:"):
            raise SettingsError(
                f"--storage {storage!r}: MLFLOW_TRACKING_URI is not set; expected the MLflow of its runs, which knows "
                "what registered versions need; set it"
            )
        return storage.rstrip("/")
    place = Path(storage.removeprefix("file://")).expanduser().absolute() if storage else folder
    if not place.is_dir():
        named = "--storage" if storage else "--workdir"
        raise SettingsError(f"{named} {str(place)!r}: no such folder; expected one that runs have written; correct it")
    return str(place)


def _lines(known: "Disposables", removed: Sequence["Disposable"], keep_days: int, dry_run: bool) -> Iterator[str]:
    now = time.time()
    for item in removed:
        days = (now - item.last_use) / DAY
        yield f"{item.kind:<15} {in_words(item.size):>10}  unused for {days:.0f} days  {item.uri}"
    if known.kept:
        yield f"kept {known.kept} folders of pixels ({in_words(known.kept_bytes)}): versions or runs need them"
    done = "would free" if dry_run else "freed"
    size = in_words(sum(item.size for item in removed))
    yield f"{done} {size} in {len(removed)} places, unused for {keep_days} days (storage.keep_days)"


def in_words(size: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == UNITS[0] else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {UNITS[-1]}"


def _result(known: "Disposables", removed: Sequence["Disposable"], dry_run: bool) -> dict[str, Any]:
    return {
        "status": "succeeded",
        "dry_run": dry_run,
        "bytes": sum(item.size for item in removed),
        "removed": [
            {"kind": item.kind, "uri": item.uri, "bytes": item.size, "last_use": item.last_use} for item in removed
        ],
        "kept": known.kept,
        "kept_bytes": known.kept_bytes,
    }
