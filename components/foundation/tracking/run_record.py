"""A run's record as tags of its MLflow run: whoever watches it may reach MLflow, and not the storage."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.run_record import PackProgress, RunRecord, StepRecord
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.foundation.tracking.connection import LOCAL, Client, connect, explained, store_exists
from sanefit.components.foundation.tracking.runs import find_run_of_job, run_tags
from sanefit.components.foundation.tracking.tags import FAILURE_TAG, PROGRESS_TAGS, REGISTRATION_TAG, STEP_TAGS

TAGS_PER_BATCH = 100
LONGEST_TAG = 5000  # characters
MIRROR_SECONDS = 15.0
Schema = TypeVar("Schema", bound=Artifact)


def tag_progress(tracking: Client, run: RunReference, progress: PackProgress) -> None:
    """Write how far a pack has come."""
    tracking.set_tag(run.tracking_run_id, PROGRESS_TAGS + progress.step, progress.model_dump_json())


def mirror_run_record(tracking: Client, run: RunReference) -> None:
    """Copy to MLflow what the run's folder has of its record and MLflow has not: not every step has MLflow at hand.

    Raises:
        StorageError: when the folder cannot be listed.
        MlflowException: when MLflow refuses.
    """
    wanted = _tags_of(read_run_record(Storage(run.storage).run(run.run_name)))
    known = run_tags(tracking, run.tracking_run_id)
    missing = [
        RunTag(tag, value) for tag, value in wanted.items() if known.get(tag) != value and len(value) <= LONGEST_TAG
    ]
    for start in range(0, len(missing), TAGS_PER_BATCH):
        tracking.log_batch(run.tracking_run_id, tags=missing[start : start + TAGS_PER_BATCH])


def mirror_if_taken(tracking: Client, run: RunReference) -> None:
    """The same, but that it is no error when the folder or MLflow refuses: a run does not need it."""
    with suppress(StorageError, MlflowException):
        mirror_run_record(tracking, run)


@contextmanager
def mirrored_step(run: RunReference, step: str, seconds: float = MIRROR_SECONDS) -> Iterator[None]:
    """While a long step runs, copy its record every so many seconds, and at first that of the steps before it.

    Whoever has a local store sees the step itself, and nothing is copied.

    Args:
        run: of the step.
        step: its name.
        seconds: from one copy to the next.
    """
    if run.tracking_uri.startswith(LOCAL):
        yield
        return
    tracking, done = connect(run.tracking_uri), threading.Event()
    uri = Storage(run.storage).run(run.run_name).step(step)

    def mirror() -> None:
        mirror_if_taken(tracking, run)
        while not done.wait(seconds):
            with suppress(StorageError, MlflowException):
                tracking.set_tag(run.tracking_run_id, STEP_TAGS + step, object_store.read_bytes(uri).decode())

    threading.Thread(target=mirror, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def tracked_run_record(tracking_uri: str, job_id: str) -> RunRecord:
    """What MLflow has of a run's record; empty while it has no such run.

    Args:
        tracking_uri: of MLflow.
        job_id: of the orchestrator's run.

    Raises:
        StorageError: when MLflow cannot be asked.
    """
    if not store_exists(tracking_uri):
        return RunRecord()
    with explained(tracking_uri):
        run = find_run_of_job(connect(tracking_uri), job_id)
    tags = run.data.tags if run else {}
    registrations = _parsed(Registration, {tag: value for tag, value in tags.items() if tag == REGISTRATION_TAG})
    return RunRecord(
        steps=_parsed(StepRecord, _below(STEP_TAGS, tags)),
        packs=_parsed(PackProgress, _below(PROGRESS_TAGS, tags)),
        registration=next(iter(registrations), None),
        failure=tags.get(FAILURE_TAG, ""),
    )


def _tags_of(record: RunRecord) -> dict[str, str]:
    return {
        **{STEP_TAGS + step.step: step.model_dump_json() for step in record.steps},
        **{PROGRESS_TAGS + pack.step: pack.model_dump_json() for pack in record.packs},
        **({REGISTRATION_TAG: record.registration.model_dump_json()} if record.registration else {}),
    }


def _below(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {tag: value for tag, value in tags.items() if tag.startswith(prefix)}


def _parsed(schema: type[Schema], tags: Mapping[str, str]) -> list[Schema]:
    """Those that this version can read."""
    found = []
    for value in tags.values():
        with suppress(ValidationError):
            found.append(schema.model_validate_json(value))
    return found
