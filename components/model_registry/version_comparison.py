"""What differs between two versions, by what MLflow has on record of them."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.registry import Comparison
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import aliases_of, champion_version
from sanefit.components.foundation.tracking.recorded_versions import RecordedVersion, read_version
from sanefit.components.foundation.tracking.tags import FINGERPRINT_TAG, OUTCOME_TAG, PROPOSAL_TAG
from sanefit.components.model_registry.changes import aliases_to, require_version, tested_accuracy
from sanefit.components.model_registry.settlement import proposal_in

Differences = dict[str, tuple[str | None, str | None]]
IN_OTHER_ROWS = ("images", "seed")  # parts of an identity: the fingerprint, and a setting


class ComparedVersion(Artifact):
    """One of two; None where nothing is on record. ``test_accuracy``: on its own run's test split."""

    version: str
    aliases: list[str]
    run_name: str | None
    test_accuracy: float | None
    fingerprint: str | None
    class_names: list[str] | None
    image_shape: list[int] | None


class EarlierComparison(Artifact):
    """What the run of ``version`` found when it compared it with the version ``over``; ``look``: as in Registration."""

    version: str
    over: str
    time: str
    reason: str
    look: int
    comparison: Comparison


class VersionComparison(Artifact):
    """Two versions: the one that was asked for, and the one that it is compared with.

    ``settings``, ``chosen``, ``identity``: what differs, as in ``RecordedRun``: its value in the one and in the other,
    None where there is none. ``earlier``: None unless the run of one of them compared it with the other.
    ``not_on_record``: what cannot be compared, in words.
    """

    versions: tuple[ComparedVersion, ComparedVersion]
    settings: Differences = Field(default={})
    chosen: Differences = Field(default={})
    identity: Differences = Field(default={})
    earlier: EarlierComparison | None
    not_on_record: list[str]


def compare_versions(tracking: Client, model_name: str, version: str, other: str = "") -> VersionComparison:
    """What differs between a version and another one, by default the champion.

    Raises:
        SettingsError: when there is no such model or version, no champion, or both are the same.
    """
    require_version(tracking, model_name, version)
    second = other or _champion(tracking, model_name)
    require_version(tracking, model_name, second)
    if version == second:
        is_champion = "" if other else ", which is champion,"
        raise SettingsError(
            f"version {version} of model {model_name!r}{is_champion} cannot be compared with itself; expected two "
            "versions; name another one"
        )
    one, two = (read_version(tracking, model_name, known) for known in (version, second))
    aliases = aliases_of(tracking, model_name)
    return VersionComparison(
        versions=(_compared(one, aliases), _compared(two, aliases)),
        **_of_runs(one, two),
        earlier=_earlier(one, two) or _earlier(two, one),
        not_on_record=[text for known in (one, two) for text in _missing(known)],
    )


def _champion(tracking: Client, model_name: str) -> str:
    champion = champion_version(tracking, model_name)
    if champion is None:
        raise SettingsError(f"model {model_name!r} has no champion; expected two versions; name the other one")
    return champion


def _compared(found: RecordedVersion, aliases: Mapping[str, str]) -> ComparedVersion:
    return ComparedVersion(
        version=found.version,
        aliases=aliases_to(found.version, aliases),
        run_name=found.run.name if found.run else None,
        test_accuracy=tested_accuracy(found.tags),
        fingerprint=found.tags.get(FINGERPRINT_TAG),
        class_names=found.metadata.get("class_names"),
        image_shape=found.metadata.get("image_shape"),
    )


def _of_runs(one: RecordedVersion, two: RecordedVersion) -> dict[str, Differences]:
    if one.run is None or two.run is None:
        return {}
    identity = _differences(one.run.identity, two.run.identity)
    return {
        "settings": _differences(one.run.settings, two.run.settings),
        "chosen": _differences(one.run.chosen, two.run.chosen),
        "identity": {name: values for name, values in identity.items() if name not in IN_OTHER_ROWS},
    }


def _differences(one: Mapping[str, str], two: Mapping[str, str]) -> Differences:
    return {name: (one.get(name), two.get(name)) for name in {**one, **two} if one.get(name) != two.get(name)}


def _earlier(found: RecordedVersion, other: RecordedVersion) -> EarlierComparison | None:
    for tag in (OUTCOME_TAG, PROPOSAL_TAG):  # the second alone of a version from before there was the first
        outcome = proposal_in(found.tags, tag)
        if outcome is not None and outcome.over == other.version and outcome.comparison is not None:
            return EarlierComparison(
                version=found.version,
                over=outcome.over,
                time=outcome.time,
                reason=outcome.reason,
                look=outcome.look,
                comparison=outcome.comparison,
            )
    return None


def _missing(found: RecordedVersion) -> Iterator[str]:
    if found.run is None:
        yield f"the run of version {found.version}: its settings and code are not compared"
    if not found.metadata:
        yield f"what the files of version {found.version} say: class names and image shapes are not compared"
