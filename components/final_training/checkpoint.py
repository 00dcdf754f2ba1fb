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

from sanefit.components.foundation.errors import StoppedError, StorageError
from sanefit.components.foundation.identity.digests import digest_of
from sanefit.components.foundation.machine.termination import never
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import CHECKPOINT_SECONDS, CheckpointPace
from sanefit.components.foundation.training.checkpoints.saved_state import plain_state, state_from
from sanefit.components.foundation.training.loop.training_state import TrainingState

DIGEST_BYTES = hashlib.sha256().digest_size
GO_ON, WRITE, STOP = range(3)  # what a process wants; of several, the highest is done


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

    ``seconds``: least time between two writes. ``writes``: False for all processes of a training but one. ``stops``:
    whether this process is told to end. ``agree``: the highest of what the processes of the training give to it.
    """

    uri: str
    say: Say
    clock: Callable[[], float] = time.time
    seconds: float = CHECKPOINT_SECONDS
    writes: bool = True
    stops: Callable[[], bool] = never
    agree: Callable[[int], int] = int
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
        """Called after a batch or an epoch, by all processes after the same; writes the progress when it is time.

        Args:
            progress: whole epochs.
            state: gives where the training is.

        Raises:
            StoppedError: when a process is told to end; the progress is written.
        """
        wanted = STOP if self.stops() else WRITE if self.writes and self.pace.is_due() else GO_ON
        agreed = self.agree(wanted)
        if agreed == GO_ON:
            return
        present = replace(progress, state=state())
        written = self.pace.write(lambda: self.write(present))
        if agreed == STOP:
            kept = "a checkpoint is kept" if written else "no checkpoint could be kept of that"
            raise StoppedError(
                f"{place_of(present)}; {kept}: run again, or let Kubeflow try again, and the "
                "training goes on from there"
            )

    def write(self, progress: MemberProgress) -> bool:
        """Write now; storage that refuses is said, for the training can go on without. False where it refused."""
        if not self.writes:
            return True
        try:
            object_store.write_bytes(self.uri, progress_bytes(progress))
        except StorageError as error:
            self.say(f"warning: {error}; the training goes on, and would begin anew if it were interrupted")
            return False
        return True


def place_of(progress: MemberProgress) -> str:
    """How far a member has come, in words; it has a state."""
    state = progress.state
    assert state is not None, "it is in training"
    if state.begun is None:
        return f"after epoch {state.epochs}"
    return f"after batch {state.begun.batches} of epoch {state.epochs + 1}"


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
