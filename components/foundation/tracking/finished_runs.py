"""Which runs of a model have finished, and what they were made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.entities import ViewType

from sanefit.components.foundation.tracking.connection import connect, store_exists
from sanefit.components.foundation.tracking.models import version_of_run
from sanefit.components.foundation.tracking.tags import IDENTITY_TAG, RUN_TAG


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended well and was not deleted.

    ``parts``: of what determined it, by name. ``version``: of the model that it registered; empty where there is none.
    """

    name: str
    parts: dict[str, str]
    version: str = ""


def identity_tags(digest: str, parts: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run by which it is found here."""
    return {IDENTITY_TAG: digest} | {f"{IDENTITY_TAG}.{name}": value for name, value in parts.items()}


def identity_parts(tags: Mapping[str, str]) -> dict[str, str]:
    """The parts of what determined a run, by name, from its tags."""
    prefix = f"{IDENTITY_TAG}."
    return {tag.removeprefix(prefix): value for tag, value in tags.items() if tag.startswith(prefix)}


def finished_run_of(tracking_uri: str, experiment: str, digest: str) -> FinishedRun | None:
    """The last run of an experiment that finished with this identity, if one did."""
    return _last_finished(tracking_uri, experiment, f"tags.`{IDENTITY_TAG}` = '{digest}'")


def last_finished_run(tracking_uri: str, experiment: str) -> FinishedRun | None:
    """The last run of an experiment that finished, if one did; those that have no identity do not count."""
    return _last_finished(tracking_uri, experiment, f"tags.`{IDENTITY_TAG}` != ''")


def _last_finished(tracking_uri: str, experiment: str, condition: str) -> FinishedRun | None:
    if not store_exists(tracking_uri):  # asking would create it
        return None
    tracking = connect(tracking_uri)
    found = tracking.get_experiment_by_name(experiment)
    if found is None:
        return None
    runs = tracking.search_runs(
        [found.experiment_id],
        f"attributes.status = 'FINISHED' and {condition}",
        ViewType.ACTIVE_ONLY,
        max_results=1,
        order_by=["attributes.end_time DESC"],
    )
    if not runs:
        return None
    tags, version = runs[0].data.tags, version_of_run(tracking, experiment, str(runs[0].info.run_id))
    return FinishedRun(tags.get(RUN_TAG, ""), identity_parts(tags), version)
