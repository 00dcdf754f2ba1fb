"""What a person sees of the registry, and changes in it: promote a version, or put the champion before it back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.runs import CHAMPION
from sanefit.components.foundation.tracking.connection import Client, connect, store_exists
from sanefit.components.foundation.tracking.models import (
    aliases_of,
    champion_version,
    let_files_model_follow,
    model_names,
    set_alias,
    tag_version,
    versions_of,
    why_not_loaded,
)
from sanefit.components.foundation.tracking.tags import PLACED_TAG, TEST_ACCURACY_TAG
from sanefit.components.model_registry.settlement import close_all, read_proposals

SHOWN = 5


class Placement(Artifact):
    """That a person made a version champion: ``replaced``, when, in UTC, who and why."""

    replaced: str
    time: str
    who: str
    why: str


@dataclass(frozen=True)
class VersionRecord:
    """A version; ``aliases`` that point to it; ``test_accuracy``: on its own run's test split; ``tags``: all."""

    version: str
    aliases: list[str]
    test_accuracy: float | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A version that was to be champion over another: when, by a run or by a person, and why."""

    time: str
    version: str
    over: str
    by: str
    why: str


def open_registry(tracking_uri: str) -> Client:
    """A client of a store that is there.

    Raises:
        SettingsError: when it is a local one that no run has made.
    """
    if not store_exists(tracking_uri):
        raise SettingsError(
            f"no MLflow store {tracking_uri!r}; expected that of a run; set --workdir, or MLFLOW_TRACKING_URI"
        )
    return connect(tracking_uri)


def list_versions(tracking: Client, model_name: str) -> list[VersionRecord]:
    """The first one first.

    Raises:
        SettingsError: when there is no such model.
    """
    versions = versions_of(tracking, model_name)
    if not versions:
        known = model_names(tracking)
        expected = f"one of {', '.join(known[:SHOWN])}" if known else "a model that a run has registered"
        raise SettingsError(f"no registered model {model_name!r}; expected {expected}; correct the name")
    aliases = aliases_of(tracking, model_name)
    return [
        VersionRecord(
            str(version.version),
            aliases_to(str(version.version), aliases),
            tested_accuracy(version.tags),
            version.tags,
        )
        for version in versions
    ]


def aliases_to(version: str, aliases: Mapping[str, str]) -> list[str]:
    """Those of ``aliases`` that point to a version, sorted."""
    return sorted(alias for alias, pointed in aliases.items() if pointed == version)


def tested_accuracy(tags: Mapping[str, str]) -> float | None:
    """On the test split of a version's own run; None where its tags do not say."""
    accuracy = tags.get(TEST_ACCURACY_TAG)
    return float(accuracy) if accuracy else None


def list_changes(tracking: Client, model_name: str) -> list[Change]:
    """Whatever was to be champion, the first one first; of runs that promoted at the same time, one stayed.

    Raises:
        SettingsError: when there is no such model.
    """
    changes = [
        Change(placed.time, record.version, placed.replaced, placed.who, placed.why)
        for record in list_versions(tracking, model_name)
        if (placed := _placement(record.tags)) is not None
    ]
    proposals = read_proposals(tracking, model_name)
    changes += [Change(known.time, version, known.over, "run", known.reason) for version, known in proposals.items()]
    return sorted(changes, key=lambda change: (change.time, int(change.version)))


def require_version(tracking: Client, model_name: str, version: str) -> None:
    """Raise SettingsError unless a model has this version."""
    known = [record.version for record in list_versions(tracking, model_name)]
    if version not in known:
        raise SettingsError(
            f"model {model_name!r} has no version {version!r}; expected one of {', '.join(known[-SHOWN:])}; correct it"
        )


def promote(tracking: Client, model_name: str, version: str, who: str, why: str, now: datetime) -> Placement:
    """Make a version champion; what runs have begun does not change that.

    Raises:
        SettingsError: when there is no such version, or its files cannot be read.
    """
    require_version(tracking, model_name, version)
    if reason := why_not_loaded(f"models:/{model_name}/{version}"):
        raise SettingsError(
            f"version {version} of model {model_name!r} cannot be loaded ({reason}); expected its files in the "
            "artifact store; restore them, or promote another version"
        )
    close_all(tracking, model_name)
    placement = Placement(
        replaced=champion_version(tracking, model_name) or "", time=now.isoformat(timespec="seconds"), who=who, why=why
    )
    tag_version(tracking, model_name, version, PLACED_TAG, placement.model_dump_json())
    set_alias(tracking, model_name, CHAMPION, version)
    let_files_model_follow(tracking, model_name, CHAMPION)
    return placement


def roll_back(tracking: Client, model_name: str, who: str, why: str, now: datetime) -> tuple[str, Placement]:
    """Put the champion before the present one back; its version.

    Raises:
        SettingsError: when it is not known which that was, or its files cannot be read.
    """
    records = {record.version: record for record in list_versions(tracking, model_name)}
    champion = champion_version(tracking, model_name)
    if champion is None:
        raise SettingsError(f"model {model_name!r} has no champion; expected one; `sanefit registry promote` makes one")
    placed, proposal = _placement(records[champion].tags), read_proposals(tracking, model_name).get(champion)
    # Of a version that was champion twice, the later time counts.
    times = [(placed.time, placed.replaced)] if placed else []
    times += [(proposal.time, proposal.over)] if proposal else []
    before = max(times)[1] if times else ""
    if before not in records:
        raise SettingsError(
            f"it is not on record which version of {model_name!r} was champion before {champion}; expected one; "
            "`sanefit registry promote` takes any version"
        )
    return before, promote(tracking, model_name, before, who, why, now)


def _placement(tags: Mapping[str, str]) -> Placement | None:
    try:
        return Placement.model_validate_json(tags.get(PLACED_TAG, ""))
    except ValidationError:
        return None
