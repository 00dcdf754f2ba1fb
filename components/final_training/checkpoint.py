"""A final training that was interrupted is found again in the storage, and goes on there.

The file is named by all that determines the training, so whatever is there under its name can be gone on with, whoever
wrote it.
"""

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import CHECKPOINT_SECONDS, CheckpointPace
from sanefit.components.foundation.training.checkpoints.saved_state import plain_state, state_from
from sanefit.components.foundation.training.loop.training_state import TrainingState

DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class MemberProgress:
    """How far a member has come.

    ``best_epoch``: 0 before there is one. ``best_weights``: the network's values by name after that epoch. ``state``:
    where it goes on; None when it is finished.
    """

    records: list[EpochRecord]
    best_epoch: int
    best_weights: Mapping[str, Tensor]
    state: TrainingState | None

    @property
    def best(self) -> EpochRecord | None:
        """The record of the best epoch."""
        return self.records[self.best_epoch - 1] if self.best_epoch else None


@dataclass
class Checkpoint:
    """One file, written now and then, so that writing takes a small share of the time.

    ``writes``: False for all processes of a training but one. ``seconds``: least time between two writes.
    """

    uri: str
    say: Say
    clock: Callable[[], float] = time.time
    seconds: float = CHECKPOINT_SECONDS
    writes: bool = True
    pace: CheckpointPace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = CheckpointPace(self.clock, self.seconds)

    def read(self) -> MemberProgress | None:
        """What is there; a damaged file is said, and counts as none."""
        if not object_store.exists(self.uri):
            return None
        try:
            return progress_from(object_store.read_bytes(self.uri))
        except ValueError as error:
            if self.writes:
                self.say(f"warning: the checkpoint {self.uri} is damaged ({error}); training begins anew")
            return None

    def offer(self, progress: MemberProgress, state: Callable[[], TrainingState]) -> None:
        """Called after an epoch; writes the progress, with the state that it is in, when it is time."""
        if self.writes:
            self.pace.offer(lambda: self.write(replace(progress, state=state())))

    def write(self, progress: MemberProgress) -> None:
        """Write now; storage that refuses is said, for the training can go on without."""
        if not self.writes:
            return
        try:
            object_store.write_bytes(self.uri, progress_bytes(progress))
        except StorageError as error:
            self.say(f"warning: {error}; the training goes on, and would begin anew if it were interrupted")


def checkpoint_uri(storage: str, *determining: object) -> str:
    """The name of a training in a storage: SHA-256 of everything that it depends on.

    Args:
        storage: of the run.
        determining: what JSON can hold.
    """
    return Storage(storage).final_checkpoint(digest_of(*determining))


def progress_bytes(progress: MemberProgress) -> bytes:
    """A digest, then tensors and plain values alone, so that reading runs no code."""
    buffer = io.BytesIO()
    content = {
        "records": [record.model_dump() for record in progress.records],
        "best_epoch": progress.best_epoch,
        "best_weights": dict(progress.best_weights),
        "state": plain_state(progress.state) if progress.state else None,
    }
    torch.save(content, buffer)
    return hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()


def progress_from(content: bytes) -> MemberProgress:
    """What ``progress_bytes`` gave, in the CPU's memory.

    Raises:
        ValueError: when it is damaged.
    """
    digest, saved = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(saved).digest() != digest:
        raise ValueError("its digest is not that of its content")
    loaded = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    records = [EpochRecord.model_validate(record) for record in loaded["records"]]
    state = loaded["state"]
    return MemberProgress(records, loaded["best_epoch"], loaded["best_weights"], state and state_from(state))
