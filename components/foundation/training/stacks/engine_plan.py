"""Which way of training is fastest for this network on this device, from its size and a short measurement."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.augmentation import groups_images
from sanefit.components.foundation.machine.memory import available_memory
from sanefit.components.foundation.schemas.network_refusals import why_not_stacked
from sanefit.components.foundation.schemas.search import Engine
from sanefit.components.foundation.training.loop.training_data import TrainingData, data_on
from sanefit.components.foundation.training.stacks.stacked_optimizer import STACKED_STEPS
from sanefit.components.foundation.training.stacks.stacks import EngineName
from sanefit.components.foundation.training.stacks.train_together import EnginePlan, start
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

STACKS = (4, 16, 64, 256)  # tried on a GPU; the ends hold on a CPU too
# On a CPU a stack whose weights and activations fall out of a core's cache gains nothing. Its size is taken from this
# rather than measured: another size gives other last digits, and noise must not choose them.
CACHE = 20 * 2**20
# Dense networks with less than this in weights are faster in a stack than in turn on a CPU, 1.05 to 7 times in what was
# tried (widths 50 and 64, 1 to 6 layers, SGD and Adam, stacks of 2 to 32): that need not be measured again.
SMALL = 2**20
CLEARLY = 1.2  # times as fast as what was best, for the same reason
STEPS = 4  # of a measurement, after as many that are not counted
REPEATS = 2  # of which the fastest counts
SHARE_OF_MEMORY = 0.5  # of what is free
COPIES = 4  # of the weights: themselves, their gradient and two moments


@dataclass(frozen=True)
class Measured:
    """A plan and how many steps a second it takes, those of all its networks added."""

    plan: EnginePlan
    steps: float

    def __str__(self) -> str:
        recorded = " recorded" if self.plan.recorded else ""
        return f"{self.plan.engine} {self.plan.networks_at_once}{recorded} {self.steps:,.0f}"


@dataclass(frozen=True)
class Footprint:
    """Bytes of one network: of its weights, and of what its layers give out for a batch."""

    weights: int
    activations: int


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
    """The fastest plan for these trials, measured where it is not known; a plan that was asked for is taken as it is.

    Args:
        trials: all that will be trained, of one shape.
        problem, data: what they learn.
        engine: ``fastest`` measures. An optimizer without a stacked step gets the loop, and the plan says so.
        networks_at_once: 0 goes by cache and memory.
        workers: processes that share the trials and the memory.
        clock: seconds.

    Raises:
        SettingsError: when the network cannot be built, or the engine that was asked for cannot train it.
    """
    network = trials[0].network
    if engine == "stacked" and (reason := why_not_stacked(network)):
        raise SettingsError(reason)
    if engine != "loop" and (why := why_in_turn(trials, problem.device)):
        asked = "" if engine == "fastest" else f"instead of search.engine={engine}: "
        return EnginePlan("loop", 1, reason=f"{asked}{why}")
    short = data_on(short_data(data, trials[0].recipe.batch_size), problem.device)
    sizes = _sizes(trials[0], problem, short, -(-len(trials) // workers), networks_at_once, workers)
    if engine == "loop" or not (sizes or engine in ("stacked", "vmapped")):
        return EnginePlan("loop", 1, reason="as asked" if engine == "loop" else "a stack would fall out of the cache")
    if engine == "fastest" and problem.device.type == "cpu" and _is_small_and_dense(trials[0], problem):
        return EnginePlan("stacked", sizes[0], reason="small dense networks train fastest in a stack")
    name: EngineName = engine if engine != "fastest" else "stacked" if network.is_stacked else "vmapped"
    if engine != "fastest" and len(sizes) < 2:
        return EnginePlan(name, sizes[0] if sizes else 1, problem.device.type == "cuda", reason="as asked")
    found = list(_measure(name, sizes, trials, problem, short, clock, loop_too=engine == "fastest"))
    best = found[0]
    for measured in found[1:]:
        if measured.steps > CLEARLY * best.steps:
            best = measured
    return replace(best.plan, reason=f"steps/s: {', '.join(map(str, found))}")


def why_in_turn(trials: Sequence[Trial], device: torch.device) -> str:
    """Why no stack trains these, whatever their network; empty where one may."""
    recipes = [trial.recipe for trial in trials]
    first = recipes[0]
    if first.freeze_epochs or any(recipe.backbone_rate != 1 for recipe in recipes):
        return "no stack has a frozen part, or rates that differ by layer"
    if any(recipe.erasing or recipe.mixup or recipe.cutmix for recipe in recipes):
        return "no stack erases or mixes images"
    if first.accumulate > 1 or any(recipe.gradient_clip for recipe in recipes):
        return "no stack clips gradients, or adds those of several batches"
    if device.type == "cuda" and groups_images(first.augmentation):
        return f"augmentation {first.augmentation} chooses on the CPU what it does, which no recorded step can"
    kind = first.optimizer
    return "" if kind in STACKED_STEPS else f"optimizer {kind} has no stacked step"


def short_data(data: TrainingData, batch_size: int) -> TrainingData:
    """``STEPS`` batches to train on, and next to nothing to validate."""
    images = min(STEPS * batch_size, len(data.train_labels))
    train, validation = torch.arange(images), torch.arange(min(8, len(data.validation_labels)))
    return TrainingData(
        data.train_pixels[train],
        data.train_labels[train],
        data.validation_pixels[validation],
        data.validation_labels[validation],
    )


def footprint(trial: Trial, problem: Problem, pixels: Tensor) -> Footprint:
    """Of a trial's network, from one pass of a few images.

    Args:
        trial, problem: the network.
        pixels: uint8 (images, height, width, channels), on the problem's device.
    """
    classifier = problem.classifier(trial).eval()
    given: list[int] = []
    for module in classifier.network.modules():
        if not list(module.children()) and not isinstance(module, nn.Flatten):  # which only looks at its input
            module.register_forward_hook(lambda _module, _given, output: given.append(output.nbytes))
    with torch.no_grad():
        classifier(pixels[:2])
    weights = sum(value.nbytes for value in classifier.network.state_dict().values())
    return Footprint(weights, sum(given) // len(pixels[:2]) * trial.recipe.batch_size)


def _is_small_and_dense(trial: Trial, problem: Problem) -> bool:
    return (
        trial.network.is_dense
        and sum(value.nbytes for value in problem.classifier(trial).network.state_dict().values()) < SMALL
    )


def _sizes(
    trial: Trial, problem: Problem, short: TrainingData, most: int, networks_at_once: int, workers: int
) -> list[int]:
    """How many networks a stack may hold: on a CPU what fits the cache, on a GPU every size that fits the memory."""
    if networks_at_once:
        return [min(most, networks_at_once)]
    size = footprint(trial, problem, short.train_pixels[:2])
    free = SHARE_OF_MEMORY * available_memory(problem.device) / workers
    most = min(most, int(free / (COPIES * size.weights + 2 * size.activations)))
    if problem.device.type == "cpu":
        count = min(most, int(CACHE / (size.weights + size.activations)), STACKS[-1])
        fitting = [count] if count >= min(most, STACKS[0]) else []
    else:
        fitting = [*(count for count in STACKS if count < most), min(most, STACKS[-1])]
    return [count for count in fitting if count > 1]


def _measure(
    name: EngineName,
    sizes: Sequence[int],
    trials: Sequence[Trial],
    problem: Problem,
    data: TrainingData,
    clock: Clock,
    *,
    loop_too: bool,
) -> Iterator[Measured]:
    """The loop, then larger and larger stacks until one is not clearly faster than the one before, or does not fit."""
    if loop_too:
        yield _speed(EnginePlan("loop", 1), trials, problem, data, clock)
    before = 0.0
    for size in sizes:
        plan = EnginePlan(name, size, problem.device.type == "cuda")
        try:
            measured = _speed(plan, trials, problem, data, clock)
        except (MemoryError, RuntimeError):  # too large, or torch.func does not take this network
            if not (loop_too or before):
                raise
            return
        yield measured
        if measured.steps < CLEARLY * before:
            return
        before = measured.steps


def _speed(plan: EnginePlan, trials: Sequence[Trial], problem: Problem, data: TrainingData, clock: Clock) -> Measured:
    # At a rate that moves nothing, so that none diverges and leaves the measurement.
    still = [replace(trial, recipe=replace(trial.recipe, learning_rate=1e-30)) for trial in trials]
    chosen = [still[number % len(still)] for number in range(plan.networks_at_once)]
    training = start(plan, chosen, problem, data)
    training.train_epoch(1)
    steps = -(-len(data.train_labels) // trials[0].recipe.batch_size)
    seconds = min(_seconds(lambda: training.train_epoch(2), problem.device, clock) for _ in range(REPEATS))
    return Measured(plan, steps * plan.networks_at_once / max(seconds, 1e-9))


def _seconds(work: Callable[[], object], device: torch.device, clock: Clock) -> float:
    _wait_for(device)
    began = clock()
    work()
    _wait_for(device)
    return clock() - began


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
