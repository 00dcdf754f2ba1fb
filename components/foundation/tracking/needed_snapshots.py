"""Which snapshots the registered versions and the runs in progress need."""

from collections.abc import Iterator

from mlflow.entities import Run, ViewType

from sanefit.components.foundation.storage.disposable import Needed
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.runs import EXPERIMENTS_AT_ONCE
from sanefit.components.foundation.tracking.tags import FINGERPRINT_TAG, RUN_TAG

VERSIONS_AT_ONCE = 1000


def needed_snapshots(tracking: Client) -> Needed:
    """Of every version of every model, and of every run that is not closed.

    A run that was killed before it could be closed counts until somebody closes it.
    """
    running = list(_running(tracking))
    fingerprints = {run.data.tags[FINGERPRINT_TAG] for run in running if FINGERPRINT_TAG in run.data.tags}
    return Needed(
        fingerprints=frozenset({*_of_versions(tracking), *fingerprints}),
        runs=frozenset(run.data.tags[RUN_TAG] for run in running),
    )


def _of_versions(tracking: Client) -> Iterator[str]:
    token = None
    while True:
        page = tracking.search_model_versions(max_results=VERSIONS_AT_ONCE, page_token=token)
        yield from (version.tags[FINGERPRINT_TAG] for version in page if FINGERPRINT_TAG in version.tags)
        token = page.token
        if not token:
            return


def _running(tracking: Client) -> Iterator[Run]:
    """Parent runs of sanefit's."""
    token = None
    while True:
        page = tracking.search_experiments(ViewType.ACTIVE_ONLY, max_results=EXPERIMENTS_AT_ONCE, page_token=token)
        yield from _running_of(tracking, [str(experiment.experiment_id) for experiment in page])
        token = page.token
        if not token:
            return


def _running_of(tracking: Client, experiments: list[str]) -> Iterator[Run]:
    if not experiments:
        return
    query, token = f"attributes.status = 'RUNNING' and tags.`{RUN_TAG}` != ''", None
    while True:
        page = tracking.search_runs(experiments, query, ViewType.ACTIVE_ONLY, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
