"""Trials of one shape, trained together from one checkpoint to the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_state import TrainingState
from sanefit.components.foundation.training.stacks.recorded_steps import RecordedSteps
from sanefit.components.foundation.training.stacks.stacked_training import call
from sanefit.components.foundation.training.stacks.stacks import EngineName, TrialsInTraining, start_training
from sanefit.components.foundation.training.stacks.trial import Problem, Trial


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

    ``states``: by the trial's number; it holds the memory of the training, or copies when it was read.
    """

    epochs: int
    records: list[list[EpochRecord]]
    states: dict[int, TrainingState] = field(default_factory=dict)


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
    after_epoch: Callable[[Progress, TrialsInTraining], None] = lambda *_: None,
) -> Progress:
    """Train until so many epochs lie behind the trials, or all have diverged.

    Args:
        plan: how.
        trials: of one shape, at least one.
        problem, data: what they learn.
        until: epochs, counted from the first.
        begun: where to go on; without it they begin.
        after_epoch: called with what is known by then, without states, and with the training, which can give them.
    """
    records = [list(curve) for curve in begun.records] if begun else [[] for _ in trials]
    living = [number for number, curve in enumerate(records) if not curve or not is_diverged(curve[-1])]
    done = begun.epochs if begun else 0
    if not living or done >= until:
        return Progress(done, records, dict(begun.states) if begun else {})
    states = [begun.states[number] for number in living] if begun and done else None
    training = start(plan, [trials[number] for number in living], problem, data, states)
    for epoch in range(done + 1, until + 1):
        found = training.train_epoch(epoch)
        for place, record in found.items():
            records[living[place]].append(record)
        done = epoch
        after_epoch(Progress(done, records), training)
        if all(is_diverged(record) for record in found.values()):
            break
    return Progress(done, records, {living[place]: state for place, state in training.states().items()})
