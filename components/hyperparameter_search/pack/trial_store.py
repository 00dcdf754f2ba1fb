"""Finished trials and running ones in the storage, where a killed pack or a run submitted again finds them.

Everything is named by what determines it, as ``TrainingIdentity`` says. So whatever is there under a name can be taken,
whoever wrote it.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from pydantic import ValidationError

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.identity.code import digest_of_own_code
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.identity.training_identity import TrainingIdentity, identify_trainings, settings_of
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import TrialResult
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.training.checkpoints.saved_state import plain_state, state_from
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, Progress
from sanefit.components.foundation.training.stacks.trial import Trial

TRAINS_A_TRIAL = "sanefit.components.hyperparameter_search.pack.chunk_training"


@dataclass(frozen=True)
class TrialStore:
    """The folder ``trials`` of a storage. ``shared``: what determines all of a pack's trials."""

    storage: str
    shared: TrainingIdentity

    def key(self, trial: Trial, fold: int | None, folds: int) -> str:
        """SHA-256, in hex, of everything that a trial's curve depends on."""
        settings = (settings_of(trial.network), asdict(trial.recipe), fold, folds)
        return self.shared.of(trial.seed, *settings).digest

    def read_result(self, key: str) -> TrialResult | None:
        """What a trial gave, if it is finished; a damaged file counts as none."""
        try:
            return TrialResult.model_validate_json(object_store.read_bytes(self._uri(key, "json")))
        except (StorageError, ValidationError):
            return None

    def write_result(self, key: str, result: TrialResult) -> None:
        """Keep what a trial gave."""
        object_store.write_bytes(self._uri(key, "json"), result.model_dump_json().encode())

    def read_progress(self, key: str) -> Progress | None:
        """How far a chunk had come, if anything is known; a damaged file counts as nothing."""
        try:
            return progress_from(object_store.read_bytes(self._uri(key, "pt")))
        except (StorageError, ValueError):
            return None

    def has_progress(self, key: str) -> bool:
        """Whether there is progress under this name."""
        return object_store.exists(self._uri(key, "pt"))

    def write_progress(self, key: str, progress: Progress) -> None:
        """Keep how far a chunk has come, in one file: all of its trials are as far as each other."""
        object_store.write_bytes(self._uri(key, "pt"), progress_bytes(progress))

    def remove_progress(self, key: str) -> None:
        """Delete it, if it is there."""
        object_store.remove(self._uri(key, "pt"))

    def read_plan(self, key: str) -> EnginePlan | None:
        """An engine's plan that was measured before: what goes on goes on in the same way, to the last digit."""
        try:
            return EnginePlan(**json.loads(object_store.read_bytes(self._uri(key, "plan.json"))))
        except (StorageError, ValueError, TypeError):
            return None

    def write_plan(self, key: str, plan: EnginePlan) -> None:
        """Keep a plan."""
        object_store.write_bytes(self._uri(key, "plan.json"), json.dumps(asdict(plan)).encode())

    def _uri(self, key: str, ending: str) -> str:
        return Storage(self.storage).trial(key, ending)


def open_store(
    storage: str, fingerprint: str, stats: ChannelStats, network: NetworkSettings, *, arithmetic: str
) -> TrialStore:
    """The trials of such networks on these images, by this code.

    Args:
        storage: of the run.
        fingerprint: of the snapshot.
        stats: give the normalization.
        network: the configuration's; names the user's module and the starting weights.
        arithmetic: kind of device, and how it computes.

    Raises:
        SettingsError, StorageError: as ``identify_trainings``.
    """
    code = digest_of_own_code(TRAINS_A_TRIAL)
    return TrialStore(
        storage,
        identify_trainings(fingerprint, stats, network, code=code, arithmetic=arithmetic),
    )


def chunk_key(trial_keys: Sequence[str], until: int) -> str:
    """The name of trials that are trained together until an epoch."""
    return digest_of(list(trial_keys), until)


def plan_key(store: TrialStore, *parts: object) -> str:
    """The name of a plan for these trainings, and whatever else ``parts`` say."""
    return digest_of(store.shared.digest, [str(part) for part in parts])


def progress_bytes(progress: Progress) -> bytes:
    """Tensors and plain values alone, so that reading runs no code."""
    buffer = io.BytesIO()
    records = [[record.model_dump() for record in curve] for curve in progress.records]
    states = {number: plain_state(state) for number, state in progress.states.items()}
    known = {number: record.model_dump() for number, record in progress.known.items()}
    torch.save({"epochs": progress.epochs, "records": records, "states": states, "known": known}, buffer)
    return buffer.getvalue()


def progress_from(content: bytes) -> Progress:
    """What ``progress_bytes`` gave.

    Raises:
        ValueError: when it is damaged.
    """
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        records = [[EpochRecord.model_validate(record) for record in curve] for curve in loaded["records"]]
        states = {number: state_from(state) for number, state in loaded["states"].items()}
        known = {number: EpochRecord.model_validate(record) for number, record in loaded["known"].items()}
        return Progress(loaded["epochs"], records, states, known)
    except Exception as error:  # torch raises whatever a broken file makes it stumble over
        raise ValueError(f"no progress of trials: {error}") from error
