"""A chunk: trials of one shape that a worker trains together, from one rung of the search to the next."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.errors import StoppedError, StorageError
from sanefit.components.foundation.schemas.search import TrialResult, TrialSpec, TrialStatus
from sanefit.components.foundation.training.checkpoints.checkpoint_pace import (
    AT_ANY_MOMENT,
    CheckpointPace,
    Interruptions,
)
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.folds import fold_data
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, Progress, train_together
from sanefit.components.foundation.training.stacks.trial import Problem, Trial
from sanefit.components.hyperparameter_search.pack.trial_store import TrialStore, chunk_key

NO_MEMORY = ("can't allocate memory", "out of memory")  # what torch says in a RuntimeError


@dataclass(frozen=True)
class Unit:
    """A trial, or one fold of it. ``key``: its name in the store. ``fold``: None without cross-validation."""

    spec: TrialSpec
    trial: Trial
    fold: int | None
    key: str


@dataclass(frozen=True)
class PackContext:
    """What all chunks of a pack share.

    ``data``: both splits, on the problem's device. ``fold_of``: as ``assign_folds`` gives it.
    """

    problem: Problem
    data: TrainingData
    store: TrialStore
    fold_of: Tensor
    interruptions: Interruptions = AT_ANY_MOMENT
    clock: Clock = time.time


@dataclass(frozen=True)
class ChunkTask:
    """Units of one shape and one fold, to be trained until an epoch.

    ``begun``: for each unit the name of a progress and its number in it, where the rung before ended; empty for the
    first rung. ``alone``: whether it is the only chunk of its rung, and may have all cores.
    """

    units: list[Unit]
    plan: EnginePlan
    until: int
    begun: list[tuple[str, int]] = field(default_factory=list)
    alone: bool = False

    @property
    def key(self) -> str:
        """The name of its progress."""
        return chunk_key([unit.key for unit in self.units], self.until)


@dataclass(frozen=True)
class ChunkOutcome:
    """A result for each unit, so far; ``ok`` says that nothing is wrong, not that it is finished.

    ``notes``: what is to be said of it.
    """

    task: ChunkTask
    results: list[TrialResult]
    notes: list[str] = field(default_factory=list)


def train_chunk(context: PackContext, task: ChunkTask) -> list[ChunkOutcome]:
    """Train the units of a chunk together; what cannot be trained together is tried in halves, down to one.

    Whatever happens to a single unit becomes its status. Results that are final are in the store before this returns,
    and so is the progress of the others.

    Raises:
        StoppedError: when the pack is to end; the progress is in the store.
    """
    started = context.clock()
    last = Progress(0, [[] for _ in task.units])
    notes: list[str] = []

    def remember(progress: Progress) -> None:
        nonlocal last
        last = progress

    def keep(now: Callable[[], Progress]) -> None:
        stops, kept = context.interruptions.stops(), True
        if stops or pace.is_due():
            try:
                pace.write(lambda: context.store.write_progress(task.key, now()))
            except StorageError as error:  # the trials are sound, and go on without
                kept = False
                notes[:] = [f"warning: {error}; the trials go on, and would begin anew if they were interrupted"]
        if stops:
            raise stopped(kept=kept)

    pace = CheckpointPace(context.clock, context.interruptions.checkpoint_seconds)
    try:
        with context.problem.arithmetic(task.units[0].trial.network).in_force():
            progress = train_together(
                task.plan,
                [unit.trial for unit in task.units],
                context.problem,
                fold_data(context.data, context.fold_of, task.units[0].fold),
                until=task.until,
                begun=_begun(context.store, task),
                after_epoch=remember,
                after_batch=keep,
            )
    except StoppedError:
        raise
    except Exception as error:  # a trial must not take its pack down
        status, message = _failure(error)
        if len(task.units) > 1:
            return _in_halves(context, task, f"{status.replace('_', ' ')} with {len(task.units)} networks: {message}")
        return [ChunkOutcome(task, _results(task, last, started, context.clock(), status, message))]
    results = _results(task, progress, started, context.clock())
    _keep(context.store, task, results, progress)
    return [ChunkOutcome(task, results, notes)]


def stopped(*, kept: bool = True) -> StoppedError:
    """A pack is told to end; ``kept``: where its trials are is in the store."""
    return StoppedError(
        "before its trials were trained; "
        + ("where they are is kept" if kept else "where they are could not be kept, but for what was written before")
        + ": run again, or let Kubeflow try again, and they go on from there"
    )


def is_final(result: TrialResult) -> bool:
    """Whether nothing is left to train of it."""
    return result.status != "ok" or len(result.epochs) == result.spec.epochs


def halves(task: ChunkTask) -> list[ChunkTask]:
    """The same units in two chunks."""
    middle = len(task.units) // 2
    plan = replace(task.plan, networks_at_once=max(1, middle))
    return [
        ChunkTask(task.units[part], plan, task.until, task.begun[part]) for part in (slice(middle), slice(middle, None))
    ]


def _in_halves(context: PackContext, task: ChunkTask, why: str) -> list[ChunkOutcome]:
    if context.problem.device.type == "cuda":
        torch.cuda.empty_cache()
    first, second = halves(task)
    outcomes = [*train_chunk(context, first), *train_chunk(context, second)]
    note = f"{why}; goes on with {max(len(first.units), len(second.units))}"
    return [replace(outcomes[0], notes=[note, *outcomes[0].notes]), *outcomes[1:]]


def _failure(error: Exception) -> tuple[TrialStatus, str]:
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in NO_MEMORY):
        return "out_of_memory", str(error)
    return "error", f"{type(error).__name__}: {error}"


def _begun(store: TrialStore, task: ChunkTask) -> Progress | None:
    """Where an interrupted training of this chunk was, else where the rung before ended."""
    if (interrupted := store.read_progress(task.key)) is not None:
        return interrupted
    if not task.begun:
        return None
    read = {key: store.read_progress(key) for key in {key for key, _ in task.begun}}
    found = [(read[key], number) for key, number in task.begun]
    records, states, epochs = [], {}, 0
    for place, (progress, number) in enumerate(found):
        if progress is None:
            raise RuntimeError(f"the checkpoint {task.begun[place][0]} is gone or damaged; run again")
        records.append(progress.records[number])
        states[place], epochs = progress.states[number], progress.epochs
    return Progress(epochs, records, states)


def _results(
    task: ChunkTask,
    progress: Progress,
    started: float,
    ended: float,
    failure: TrialStatus | None = None,
    message: str = "",
) -> list[TrialResult]:
    return [
        TrialResult(
            spec=unit.spec,
            status=failure or ("diverged" if is_diverged(curve[-1]) else "ok"),
            validation_accuracy=curve[-1].validation_accuracy if curve else 0.0,
            epochs=curve,
            started=started,
            seconds=ended - started,
            message=message,
        )
        for unit, curve in zip(task.units, progress.records, strict=True)
    ]


def _keep(store: TrialStore, task: ChunkTask, results: Sequence[TrialResult], progress: Progress) -> None:
    """The whole chunk first, in one file: a pack that is killed among the results finds none of them to train again."""
    finished = all(map(is_final, results))
    store.write_progress(task.key, replace(progress, states={}) if finished else progress)
    for unit, result in zip(task.units, results, strict=True):
        if is_final(result):
            store.write_result(unit.key, result)
    if finished:
        store.remove_progress(task.key)
