"""Read what a run has said of itself in its folder."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import ValidationError

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.bases import Artifact
from sanefit.components.foundation.schemas.run_record import PackProgress, RunRecord, StepRecord
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import RunFolder

READ_AT_ONCE = 16  # hundreds of packs have a file or two each
Schema = TypeVar("Schema", bound=Artifact)


def read_run_record(folder: RunFolder) -> RunRecord:
    """The run's record; empty of a run that has said nothing yet.

    Args:
        folder: of the run.

    Raises:
        StorageError: when the folder cannot be listed.
    """
    steps, packs = (
        [object_store.join(part, name) for name in object_store.list_files(part)]
        for part in (folder.steps, folder.progress)
    )
    registrations = [folder.registration] if object_store.exists(folder.registration) else []
    return RunRecord(
        steps=_all_of(StepRecord, steps),
        packs=_all_of(PackProgress, packs),
        registration=next(iter(_all_of(Registration, registrations)), None),
    )


def _all_of(schema: type[Schema], uris: Iterable[str]) -> list[Schema]:
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        return [found for found in pool.map(lambda uri: _read(schema, uri), uris) if found is not None]


def _read(schema: type[Schema], uri: str) -> Schema | None:
    """None for what is gone by now, or was written by another version."""
    try:
        return schema.model_validate_json(object_store.read_bytes(uri))
    except (StorageError, ValidationError):
        return None
