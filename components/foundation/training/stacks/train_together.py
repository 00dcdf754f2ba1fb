"""Trials of one shape, trained together from one checkpoint to the next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_state import TrainingState
from sanefit.components.foundation.training.stacks.recorded_steps import RecordedSteps
from sanefit.components.foundation.training.stacks.stacked_training import call
from sanefit.components.foundation.training.stacks.stacks import EngineName, TrialsInTraining, start_training
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

Found = TypeVar("Found")


@dataclass(frozen=True)
class EnginePlan:
    """How trials are trained: the engine, how many networks at once, and whether its steps are recorded on the GPU.

    ``reason``: why so, in words.
    """

    engine: EngineName
    networks_at_once: int
    recorded: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Progress:
    """Trials after some epochs: every record of each, and where those go on that have not diverged.

    ``states``: by the trial's number. ``known``: records of the epoch after these, where it was begun.
    """

    epochs: int
    records: list[list[EpochRecord]]
    states: dict[int, TrainingState] = field(default_factory=dict)
    known: dict[int, EpochRecord] = field(default_factory=dict)


def start(
    plan: EnginePlan,
    trials: Sequence[Trial],
    problem: Problem,
    data: TrainingData,
    states: Sequence[TrainingState] | None = None,
) -> TrialsInTraining:
    """As ``start_training``."""
    return start_training(plan.engine, trials, problem, data, states, RecordedSteps() if plan.recorded else call)


def train_together(
    plan: EnginePlan,
    trials: Sequence[Trial],
    problem: Problem,
    data: TrainingData,
    *,
    until: int,
    begun: Progress | None = None,
    after_epoch: Callable[[Progress], None] = lambda _: None,
    after_batch: Callable[[Callable[[], Progress]], None] = lambda _: None,
) -> Progress:
    """Train until so many epochs lie behind the trials, or all have diverged.

    Args:
        plan: how.
        trials: of one shape, at least one.
        problem, data: what they learn.
        until: epochs, counted from the first.
        begun: where to go on; without it they begin.
        after_epoch: called with what is known by then, without states.
        after_batch: called with a function that gives the present progress; what it raises ends the training.
    """
    begun = begun or Progress(0, [[] for _ in trials])
    records, done = [list(curve) for curve in begun.records], begun.epochs
    for number, record in begun.known.items():
        if is_diverged(record):
            records[number].append(record)
    living = [number for number, curve in enumerate(records) if not curve or not is_diverged(curve[-1])]
    if not living or done >= until:
        return Progress(done, records, dict(begun.states))
    states = [begun.states[number] for number in living] if begun.states else None
    training = start(plan, [trials[number] for number in living], problem, data, states)
    training.known |= {place: begun.known[number] for place, number in enumerate(living) if number in begun.known}

    def now() -> Progress:
        return Progress(done, records, numbered(training.states()), numbered(training.known))

    def numbered(found: Mapping[int, Found]) -> dict[int, Found]:
        return {living[place]: value for place, value in found.items()}

    for epoch in range(done + 1, until + 1):
        found = training.train_epoch(epoch, lambda: after_batch(now))
        for place, record in found.items():
            records[living[place]].append(record)
        done = epoch
        after_epoch(Progress(done, records))
        if all(is_diverged(record) for record in found.values()):
            break
    return now()
