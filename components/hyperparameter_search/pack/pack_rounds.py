"""Trains the trials of a pack, rung after rung, and gives their results as they are known."""

import math
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch

from sanefit.components.foundation.errors import SanefitError
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.search import PackPlan, TrialResult, TrialSpec
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.recipe import recipe_of
from sanefit.components.foundation.training.resolved_settings import resolve_network, resolve_optimizer
from sanefit.components.foundation.training.score import score
from sanefit.components.foundation.training.stacks.engine_plan import choose_plan
from sanefit.components.foundation.training.stacks.stack_key import StackKey, stack_key
from sanefit.components.foundation.training.stacks.train_together import EnginePlan
from sanefit.components.foundation.training.stacks.trial import Trial
from sanefit.components.hyperparameter_search.pack.chunk_training import ChunkTask, PackContext, Unit, is_final
from sanefit.components.hyperparameter_search.pack.merged_folds import merge_folds
from sanefit.components.hyperparameter_search.pack.pack_workers import train_chunks
from sanefit.components.hyperparameter_search.pack.trial_store import plan_key

Living = dict[int, list[Unit]]  # the units of each trial that goes on, by the trial's number


@dataclass
class TrialsOfPack:
    """What a pack trains, on what, and what it knows by now.

    ``judged_class``: whose recall is measured. ``workers``: processes. ``results``: of units, by key. ``begun``: where
    the progress of a unit lies; ``progress``: the names of all.
    """

    plan: PackPlan
    context: PackContext
    network: NetworkSettings
    optimizer: OptimizerSettings
    batch_seed: int
    judged_class: int | None
    devices: Sequence[torch.device]
    workers: int
    say: Say
    results: dict[str, TrialResult] = field(default_factory=dict)
    begun: dict[str, tuple[str, int]] = field(default_factory=dict)
    progress: set[str] = field(default_factory=set)
    engine_plans: dict[StackKey, EnginePlan] = field(default_factory=dict)

    def train(self, specs: Sequence[TrialSpec]) -> Iterator[TrialResult]:
        """Train trials, or take what the store has of them; one result each, in the order in which they end."""
        living: Living = {}
        for spec in specs:
            try:
                living[spec.number] = self._units(spec)
            except SanefitError as error:  # a network that cannot be built so
                yield _not_begun(spec, str(error), self.context.clock())
        self._read_finished([unit for units in living.values() for unit in units])
        epochs = specs[0].epochs
        for until in rungs(epochs, self.plan.reduction_factor):
            places = math.ceil(len(living) / self.plan.reduction_factor)
            yield from self._train_until(until, living)
            if until < epochs:
                yield from self._stop_worst(until, living, places)
        self.begun.clear()

    def clean_up(self) -> None:
        """Remove the progress of rungs, once the pack's results are kept: a pack that was killed before needs it."""
        for key in self.progress:
            self.context.store.remove_progress(key)

    def _train_until(self, until: int, living: Living) -> Iterator[TrialResult]:
        yield from self._ended(until, living)
        tasks = self._tasks(until, [unit for units in living.values() for unit in units])
        for outcome in train_chunks(self.context, tasks, self.devices, self.workers):
            for note in outcome.notes:
                self.say(note)
            self.progress.add(outcome.task.key)
            for place, (unit, result) in enumerate(zip(outcome.task.units, outcome.results, strict=False)):
                self.results[unit.key] = result
                self.begun[unit.key] = (outcome.task.key, place)
            yield from self._ended(until, living)

    def _ended(self, until: int, living: Living) -> Iterator[TrialResult]:
        """Trials with nothing left to train at this epoch; they leave ``living``."""
        for number, units in list(living.items()):
            found = [self.results[unit.key] for unit in units if self._is_past(unit, until)]
            ended = [result for result in found if is_final(result) and len(result.epochs) <= until]
            failed = any(result.status != "ok" for result in ended)
            if len(found) == len(units) and (failed or len(ended) == len(units)):
                del living[number]
                yield merge_folds(units[0].spec, found)

    def _stop_worst(self, until: int, living: Living, places: int) -> Iterator[TrialResult]:
        """Successive halving: the best of those that began this rung go on, in the places of failed ones too."""
        merged = {
            number: merge_folds(units[0].spec, [self.results[unit.key] for unit in units])
            for number, units in living.items()
        }
        reached = {number: result.epochs[until - 1] for number, result in merged.items()}
        scores = {number: score(record, self.plan.search_range.metric) for number, record in reached.items()}
        for number in sorted(merged, key=lambda number: (-scores[number], number))[places:]:
            del living[number]
            yield merged[number].model_copy(
                update={
                    "status": "stopped",
                    "epochs": merged[number].epochs[:until],
                    "validation_accuracy": reached[number].validation_accuracy,
                }
            )

    def _read_finished(self, units: Sequence[Unit]) -> None:
        for unit in units:
            if (found := self.context.store.read_result(unit.key)) is not None:
                self.results[unit.key] = found.model_copy(update={"spec": unit.spec})
        if self.results.keys() & {unit.key for unit in units}:
            known = sum(unit.key in self.results for unit in units)
            self.say(f"{known} of {len(units)} trainings are in the storage from before, and are not repeated")

    def _is_past(self, unit: Unit, until: int) -> bool:
        """Whether nothing is left to train of it before this epoch."""
        result = self.results.get(unit.key)
        return result is not None and (result.status != "ok" or len(result.epochs) >= until)

    def _units(self, spec: TrialSpec) -> list[Unit]:
        """One for each fold, or one.

        Raises:
            SettingsError: when this network has no value that the trial searches.
        """
        recipe = recipe_of(
            resolve_optimizer(self.optimizer, spec.setting),
            learning_rate=spec.setting.learning_rate,
            weight_decay=spec.setting.weight_decay,
            epochs=spec.epochs,
            batch_seed=self.batch_seed,
            noise_seed=spec.seed,
        )
        recipe = replace(recipe, judged_class=self.judged_class)
        trial = Trial(resolve_network(self.network, spec.setting), recipe, spec.seed)
        folds = range(self.plan.folds) if self.plan.folds > 1 else (None,)
        return [Unit(spec, trial, fold, self.context.store.key(trial, fold, self.plan.folds)) for fold in folds]

    def _tasks(self, until: int, units: Sequence[Unit]) -> list[ChunkTask]:
        """Chunks of one shape and fold for the units that are not past this epoch.

        They are cut before what is past is left out, so that a pack that was killed finds the same chunks again.
        """
        groups: dict[tuple[StackKey, int | None], list[Unit]] = defaultdict(list)
        for unit in units:
            groups[stack_key(self.network, self.optimizer, unit.spec.setting), unit.fold].append(unit)
        chunks = [
            (plan, chunk)
            for (shape, _), group in groups.items()
            for plan in [self._engine_plan(shape, group)]
            for chunk in cut(group, plan.networks_at_once, self.workers)
        ]
        # Counted with what is past: other numbers of threads round otherwise.
        alone = len(chunks) == 1
        tasks = [ChunkTask(chunk, plan, until, self._begun(chunk), alone) for plan, chunk in chunks]
        return [left for task in tasks for left in self._without_past(task)]

    def _without_past(self, task: ChunkTask) -> list[ChunkTask]:
        left = [unit for unit in task.units if not self._is_past(unit, task.until)]
        if not left:
            self.context.store.remove_progress(task.key)  # of a pack that was killed right before it did
            return []
        if len(left) == len(task.units) or self.context.store.has_progress(task.key):
            return [task]
        return [ChunkTask(left, task.plan, task.until, self._begun(left), task.alone)]

    def _begun(self, units: Sequence[Unit]) -> list[tuple[str, int]]:
        """Where each unit's progress lies; nowhere when they begin."""
        return [self.begun[unit.key] for unit in units] if all(unit.key in self.begun for unit in units) else []

    def _engine_plan(self, shape: StackKey, units: Sequence[Unit]) -> EnginePlan:
        if shape not in self.engine_plans:
            self.engine_plans[shape] = self._stored_engine_plan(shape, units)
        return self.engine_plans[shape]

    def _stored_engine_plan(self, shape: StackKey, units: Sequence[Unit]) -> EnginePlan:
        """As it was measured before on such a machine, so that the same run gives the same digits, or measured now."""
        pack, device = self.plan, self.devices[0]
        asked = (pack.engine, pack.networks_at_once)
        key = plan_key(self.context.store, _hardware(device), shape, asked, self.workers, len(units))
        plan = self.context.store.read_plan(key)
        arithmetic = self.context.problem.arithmetic(units[0].trial.network)
        if plan is None:
            with arithmetic.in_force():
                plan = choose_plan(
                    [unit.trial for unit in units],
                    self.context.problem,
                    self.context.data,
                    engine=pack.engine,
                    networks_at_once=pack.networks_at_once,
                    workers=self.workers,
                )
            self.context.store.write_plan(key, plan)
        at_once = f"{plan.networks_at_once} networks at once" if plan.networks_at_once > 1 else "one after another"
        self.say(f"engine {plan.engine}, {at_once}, {self.workers} workers on {arithmetic} ({plan.reason})")
        return plan


def rungs(epochs: int, reduction_factor: int) -> list[int]:
    """The epochs after which successive halving chooses: powers of the factor, and the last epoch.

    Args:
        epochs: of a trial that is never stopped.
        reduction_factor: 1 for none.
    """
    found, epoch = [], 1
    while reduction_factor > 1 and epoch < epochs:
        found.append(epoch)
        epoch *= reduction_factor
    return [*found, epochs]


def cut(units: Sequence[Unit], at_once: int, workers: int) -> list[list[Unit]]:
    """Chunks of at most ``at_once`` units, so many that no worker waits, sizes differing by at most one."""
    chunks = math.ceil(len(units) / at_once)
    chunks = min(len(units), math.ceil(chunks / workers) * workers)
    bounds = [round(number * len(units) / chunks) for number in range(chunks + 1)]
    return [list(units[low:high]) for low, high in pairwise(bounds)]


def _hardware(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def _not_begun(spec: TrialSpec, message: str, now: float) -> TrialResult:
    return TrialResult(
        spec=spec, status="error", validation_accuracy=0.0, epochs=[], started=now, seconds=0.0, message=message
    )
