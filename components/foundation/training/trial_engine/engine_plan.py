"""Which way of training is fastest for this network on this device, from a short measurement."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from components.foundation.memory import available_memory
from components.foundation.training.plain_loop import TrainingData, data_on
from components.foundation.training.trial_engine.stacks import EngineName, stackable
from components.foundation.training.trial_engine.train_together import EnginePlan, start
from components.foundation.training.trial_engine.trial import Problem, Trial
from components.foundation.training_settings import Engine

STEPS = 8  # of a measurement, after as many that are not counted
STACKS = (4, 16, 64, 256)
CLEARLY = 1.25  # times as fast as what was best: a choice that noise could turn would change the last digits of a run
# Seconds of one network's step from which on its time goes into arithmetic, which a stack does not save.
LONG_STEP = {"cpu": 0.01, "cuda": 0.25}
SHARE_OF_MEMORY = 0.5  # of what is free
COPIES = 4  # of the weights: themselves, their gradient and two moments
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measured:
    """A plan and how many steps a second it takes, those of all its networks added."""

    plan: EnginePlan
    steps: float

    def __str__(self) -> str:
        recorded = " recorded" if self.plan.recorded else ""
        return f"{self.plan.engine} {self.plan.networks_at_once}{recorded}: {self.steps:,.0f}"


def choose_plan(
    trials: Sequence[Trial],
    problem: Problem,
    data: TrainingData,
    *,
    engine: Engine = "fastest",
    networks_at_once: int = 0,
    workers: int = 1,
    clock: Clock = time.perf_counter,
) -> EnginePlan:
    """The fastest plan for these trials; a plan that was asked for is taken as it is.

    Args:
        trials: all that will be trained, of one shape.
        problem, data: what they learn.
        engine: ``fastest`` measures.
        networks_at_once: 0 measures.
        workers: processes that share the trials and the memory.
        clock: seconds.

    Raises:
        SettingsError: when the network cannot be built.
        ValueError: when the engine that was asked for cannot train this network.
    """
    if engine == "stacked" and not stackable(trials[0].network):
        raise ValueError(
            f"search.engine=stacked: there is no stack for a network of kind {trials[0].network.kind!r}; expected "
            "two_layer, mlp or convnet; set search.engine=vmapped, loop or fastest"
        )
    share = -(-len(trials) // workers)
    if engine == "loop":
        return EnginePlan("loop", 1, reason="as search.engine says")
    if engine != "fastest" and networks_at_once:
        return EnginePlan(engine, min(networks_at_once, share), reason="as search.engine and networks_at_once say")
    most = min(share, _fitting(trials[0], problem, workers))
    found = list(_measure(trials, problem, data, engine, networks_at_once, most, clock))
    best = found[0]
    for measured in found[1:]:
        if measured.steps > CLEARLY * best.steps:
            best = measured
    return replace(best.plan, reason=f"steps/s: {', '.join(map(str, found))}")


def _measure(
    trials: Sequence[Trial],
    problem: Problem,
    data: TrainingData,
    engine: Engine,
    networks_at_once: int,
    most: int,
    clock: Clock,
) -> Iterator[Measured]:
    """The loop, then larger and larger stacks until one is slower than the one before, or does not fit."""
    short = data_on(_short(data, trials[0].recipe.batch_size), problem.device)
    if engine == "fastest":
        alone = _speed(EnginePlan("loop", 1), trials, problem, short, clock)
        yield alone
        if alone.steps < 1 / LONG_STEP[problem.device.type]:
            return
    name = _stack_engine(trials[0], engine)
    sizes = [networks_at_once] if networks_at_once else [size for size in STACKS if size < most] or []
    before = 0.0
    for size in sorted({*(min(size, most) for size in sizes), *([] if networks_at_once else [min(most, STACKS[-1])])}):
        try:
            measured = _speed(EnginePlan(name, size, problem.device.type == "cuda"), trials, problem, short, clock)
        except (MemoryError, RuntimeError):  # too large, or torch.func does not take this network
            if engine != "fastest" and not before:
                raise
            return
        yield measured
        if measured.steps < before:
            return
        before = measured.steps


def _stack_engine(trial: Trial, engine: Engine) -> EngineName:
    if engine in ("stacked", "vmapped"):
        return engine
    return "stacked" if stackable(trial.network) else "vmapped"


def _speed(plan: EnginePlan, trials: Sequence[Trial], problem: Problem, data: TrainingData, clock: Clock) -> Measured:
    # At a rate that moves nothing, so that none diverges and leaves the measurement.
    still = [replace(trial, recipe=replace(trial.recipe, learning_rate=1e-30)) for trial in trials]
    chosen = [still[number % len(still)] for number in range(plan.networks_at_once)]
    training = start(plan, chosen, problem, data)
    training.train_epoch(1)
    _wait_for(problem.device)
    began = clock()
    training.train_epoch(2)
    _wait_for(problem.device)
    return Measured(plan, STEPS * plan.networks_at_once / max(clock() - began, 1e-9))


def _short(data: TrainingData, batch_size: int) -> TrainingData:
    """``STEPS`` batches to train on, and next to nothing to validate."""
    images = min(STEPS * batch_size, len(data.train_labels))
    train, validation = torch.arange(images), torch.arange(min(8, len(data.validation_labels)))
    # The first images of one class after another would do as well: only time is measured.
    return TrainingData(
        data.train_pixels[train],
        data.train_labels[train],
        data.validation_pixels[validation],
        data.validation_labels[validation],
    )


def _fitting(trial: Trial, problem: Problem, workers: int) -> int:
    """How many networks fit into a worker's share of the memory, by their weights and one batch's inputs."""
    weights = sum(value.nbytes for value in problem.classifier(trial).network.state_dict().values())
    height, width, channels = problem.image_shape
    # Activations of a layer or two the size of the input, forward and back.
    activations = 4 * trial.recipe.batch_size * height * width * channels * problem.dtype.itemsize
    free = SHARE_OF_MEMORY * available_memory(problem.device) / workers
    return max(1, int(free / (COPIES * weights + activations)))


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
