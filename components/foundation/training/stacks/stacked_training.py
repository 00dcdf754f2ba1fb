"""A stack of networks in training, an epoch at a time, over the same batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanefit.components.foundation.image_dataset.augmentation import augment
from sanefit.components.foundation.machine.arithmetic import CPU_ARITHMETIC, Arithmetic
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.epoch_batches import epoch_batches
from sanefit.components.foundation.training.loop.epoch_records import epoch_record, is_diverged
from sanefit.components.foundation.training.loop.epoch_tally import LOOK_EVERY, EpochTally
from sanefit.components.foundation.training.loop.evaluation import recall_of
from sanefit.components.foundation.training.loop.optimizers import penalized
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_images import read_batch
from sanefit.components.foundation.training.loop.training_state import BegunEpoch, TrainingState
from sanefit.components.foundation.training.stacks.epoch_tables import EpochTables, epoch_tables
from sanefit.components.foundation.training.stacks.stacked_evaluation import evaluate_stack
from sanefit.components.foundation.training.stacks.stacked_network import (
    StackedDropout,
    StackedNetwork,
    trained_names,
)
from sanefit.components.foundation.training.stacks.stacked_optimizer import DECAYED_FROM, StackedOptimizer

# Calls a step with the indices of a batch; the number changes when the step's tensors are replaced.
Repeat = Callable[[Callable[[Tensor], None], Tensor, int], None]


def call(step: Callable[[Tensor], None], indices: Tensor, _generation: int) -> None:
    """Take the step as it is written."""
    step(indices)


@dataclass
class Stack:
    """T networks and what trains them, on the data's device. ``normalization``: from pixels to inputs, of all."""

    network: StackedNetwork
    optimizer: StackedOptimizer
    dropout: StackedDropout
    normalization: nn.Module


class StackedTraining:
    """T networks of one shape that are trained at once; those that diverge are taken out and cost nothing further."""

    def __init__(
        self,
        stack: Stack,
        data: TrainingData,
        recipes: Sequence[Recipe],
        *,
        states: Sequence[TrainingState] | None = None,
        repeat: Repeat = call,
        arithmetic: Arithmetic = CPU_ARITHMETIC,
    ) -> None:
        """
        Args:
            stack: all trials.
            data: both splits.
            recipes: of each trial; batches, epochs, augmentation and kind of optimizer are those of the first.
            states: where each goes on, with the weights and slots that are in the stack; all after the same batch.
            repeat: takes the steps, as they are written or as a recorded graph.
            arithmetic: of the networks' steps.
        """
        self.network, self.optimizer, self.dropout = stack.network, stack.optimizer, stack.dropout
        self.normalization, self.data, self.recipes = stack.normalization, data, recipes
        self.epochs, self.steps, self.batches = 0, 0, 0
        self.repeat, self.arithmetic = repeat, arithmetic
        self.members, self.generation = list(range(len(recipes))), 0
        self.tally = EpochTally.of(len(recipes), self._device)
        self.tables: EpochTables | None = None
        self.known: dict[int, EpochRecord] = {}
        if states:
            self._restore(states)
        weights = self.network.weights
        self.optimizer.prepare({name: weights[name] for name in trained_names(weights)})

    def train_epoch(self, epoch: int, after_batch: Callable[[], None] = lambda: None) -> dict[int, EpochRecord]:
        """As ``TrialsInTraining``."""
        batches = epoch_batches(self.data.train_labels, self.recipes[0], epoch)
        self._begin(epoch, len(batches))
        look_every = LOOK_EVERY if self._device.type == "cuda" else 1
        for number in range(self.batches + 1, len(batches) + 1):
            self.repeat(self._step, batches[number - 1].to(self._device), self.generation)
            self.batches = number
            if number % look_every == 0 or number == len(batches):
                if not bool(self.tally.alive.all()):
                    self._take_out_diverged(epoch, len(batches))
                if not self.members:
                    return self._known_by_now()
                after_batch()
        self.optimizer.settle(self.network.weights)
        self.epochs, self.steps, self.batches = epoch, self.steps + len(batches), 0
        self.known |= self._validated(epoch, len(batches))
        self._keep([place for place, member in enumerate(self.members) if not is_diverged(self.known[member])])
        return self._known_by_now()

    def states(self) -> dict[int, TrainingState]:
        """As ``TrialsInTraining``."""
        counted, optimizer = self.tally.counted, self.optimizer
        return {
            member: TrainingState(
                self.epochs,
                self.steps + self.batches,
                _at(place, self.network.weights),
                {slot: _at(place, values) for slot, values in optimizer.slots.items()},
                begun=BegunEpoch(self.batches, counted[place : place + 1], _at(place, optimizer.scales))
                if self.batches
                else None,
            )
            for place, member in enumerate(self.members)
        }

    def _restore(self, states: Sequence[TrainingState]) -> None:
        self.epochs, self.steps = states[0].epochs, states[0].steps
        begun = [state.begun for state in states if state.begun is not None]
        if begun:
            self.batches = begun[0].batches
            self.steps -= self.batches
            self.tally.restore(torch.cat([epoch.counted for epoch in begun]), self.batches)

    def _known_by_now(self) -> dict[int, EpochRecord]:
        known, self.known = self.known, {}
        return known

    @property
    def _device(self) -> torch.device:
        return self.dropout.shares.device

    def _begin(self, epoch: int, batches: int) -> None:
        """What a recorded step uses stays where it lies."""
        recipes, dtype = [self.recipes[member] for member in self.members], self.optimizer.momentum.dtype
        tables = epoch_tables(recipes, epoch, batches, self.steps, dtype, self._device)
        if self.tables is not None and self.tables.rates.shape == tables.rates.shape:
            self.tables.fill(tables)
        else:
            self.tables = tables
            self.generation += 1
        if not self.batches:
            self.tally.clear()
        self.tables.row.fill_(self.batches)
        self.dropout.step.fill_(self.steps + self.batches)

    def _step(self, indices: Tensor) -> None:
        """One step of every network; only tensors on the device change, so that a GPU can record it."""
        tables = self.tables
        assert tables is not None, "an epoch has begun"
        labels = self.data.train_labels[indices]
        batch = read_batch(self.data.train_pixels, indices)
        pixels = augment(batch, self.recipes[0].augmentation, tables.now(tables.augmentation))
        with self.arithmetic.autocast():
            losses, right, gradients = self.network.losses_and_gradients(
                self.normalization(pixels), labels, self.dropout, self.optimizer.scales
            )
        self.tally.add(losses, right, len(indices))
        rates, steps = tables.now(tables.rates), tables.now(tables.counts)
        for name, gradient in gradients.items():
            self.optimizer.step(name, self.network.weights[name], gradient, rates, steps)
        tables.row.add_(1)
        self.dropout.step.add_(1)

    def _take_out_diverged(self, epoch: int, batches: int) -> None:
        alive = self.tally.alive.tolist()
        self.known |= {
            member: self._record(place, epoch, batches) for place, member in enumerate(self.members) if not alive[place]
        }
        self._keep([place for place, living in enumerate(alive) if living])

    def _keep(self, places: list[int]) -> None:
        """Go on with the networks at these places alone."""
        if len(places) == len(self.members):
            return
        self.members = [self.members[place] for place in places]
        self.generation += 1
        kept = torch.tensor(places, dtype=torch.int64, device=self._device)
        self.network.weights = {name: value[kept] for name, value in self.network.weights.items()}
        self.optimizer, self.dropout = self.optimizer.select(kept), self.dropout.select(kept)
        self.tally = self.tally.select(kept)
        if self.tables is not None:
            self.tables.rates = self.tables.rates[:, kept]

    def _validated(self, epoch: int, batches: int) -> dict[int, EpochRecord]:
        penalties = self._penalties().tolist()
        data = self.data
        losses, accuracies, recalls = evaluate_stack(
            self.network, self.normalization, data.validation_pixels, data.validation_labels, len(self.members)
        )
        balanced, judged = recalls.nanmean(dim=1).tolist(), self.recipes[0].judged_class
        found = list(zip(losses, accuracies, balanced, recall_of(judged, recalls), strict=True))
        return {
            member: self._record(place, epoch, batches, penalties[place], *found[place])
            for place, member in enumerate(self.members)
        }

    def _record(self, place: int, epoch: int, batches: int, penalty: float = 0.0, *validation: float) -> EpochRecord:
        """Of the network at this place. ``validation``: its loss and accuracies, unless it diverged before."""
        tally, recipe = self.tally, self.recipes[self.members[place]]
        images = int(tally.images[place])
        return epoch_record(
            epoch,
            recipe.rate_at(epoch, int(tally.steps[place]) - 1, batches),
            tally.losses[place].item() / images + penalty,
            int(tally.correct[place]) / images,
            *validation,
        )

    def _penalties(self) -> Tensor:
        """(T,), 0 where the loss has none, whatever the weights are."""
        decays = torch.tensor([penalized(self.recipes[member]) for member in self.members], dtype=torch.float64)
        squares = sum(
            torch.linalg.vector_norm(value.flatten(1), dim=1).double().square().cpu()
            for value in (self.network.weights[name] for name in trained_names(self.network.weights))
            if value.ndim >= DECAYED_FROM
        )
        return torch.where(decays > 0, 0.5 * decays * squares, 0.0)


def _at(place: int, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of what is one network's."""
    return {name: value[place].clone() for name, value in values.items()}
