"""A stack of networks in training, an epoch at a time, over the same batches."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.image_dataset.augmentation import augment
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.evaluation import EVALUATION_BATCH
from sanefit.components.foundation.training.loop.optimizers import penalized
from sanefit.components.foundation.training.loop.plain_loop import (
    TrainingData,
    TrainingState,
    augmentation_keys,
    is_diverged,
)
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.schedules import learning_rate_at
from sanefit.components.foundation.training.loop.training_images import read_batch
from sanefit.components.foundation.training.stacks.epoch_tally import EpochTally
from sanefit.components.foundation.training.stacks.stacked_network import (
    StackedDropout,
    StackedNetwork,
    answers,
    trained_names,
)
from sanefit.components.foundation.training.stacks.stacked_optimizer import DECAYED_FROM, StackedOptimizer

LOOK_EVERY = 32  # steps between two looks for diverged networks on a GPU, for each look waits for it
# Calls a step with the indices of a batch; the number changes when the step's tensors are replaced.
Repeat = Callable[[Callable[[Tensor], None], Tensor, int], None]


@dataclass
class EpochTables:
    """What each step of an epoch uses, on the device; ``row``: int64 scalar, the step that comes next.

    ``rates``: (steps, T). ``augmentation``: int64 (steps, 3). ``counts``: float64 (steps,), of all steps so far.
    """

    rates: Tensor
    augmentation: Tensor
    counts: Tensor
    row: Tensor

    def fill(self, other: "EpochTables") -> None:
        """Take the values of another epoch, in place."""
        for mine, theirs in (
            (self.rates, other.rates),
            (self.augmentation, other.augmentation),
            (self.counts, other.counts),
            (self.row, other.row),
        ):
            mine.copy_(theirs)

    def now(self, table: Tensor) -> Tensor:
        """The present row of a table, without waiting for the device."""
        return table.index_select(0, self.row.reshape(1)).squeeze(0)


def call(step: Callable[[Tensor], None], indices: Tensor, _generation: int) -> None:
    """Take the step as it is written."""
    step(indices)


class StackedTraining:
    """T networks of one shape that are trained at once; those that diverge are taken out and cost nothing further."""

    def __init__(
        self,
        network: StackedNetwork,
        optimizer: StackedOptimizer,
        dropout: StackedDropout,
        normalization: nn.Module,
        data: TrainingData,
        recipes: Sequence[Recipe],
        *,
        epochs: int = 0,
        steps: int = 0,
        repeat: Repeat = call,
        autocast: bool = False,
    ) -> None:
        """
        Args:
            network, optimizer, dropout: of all trials, on the data's device.
            normalization: from pixels to inputs, the same for all.
            data: both splits.
            recipes: of each trial; batches, epochs, augmentation and kind of optimizer are those of the first.
            epochs, steps: how many are behind them.
            repeat: takes the steps, as they are written or as a recorded graph.
            autocast: multiply in bfloat16; weights and losses stay as they are.
        """
        self.network, self.optimizer, self.dropout = network, optimizer, dropout
        self.normalization, self.data, self.recipes = normalization, data, recipes
        self.epochs, self.steps, self.repeat, self.autocast = epochs, steps, repeat, autocast
        self.members, self.generation = list(range(len(recipes))), 0
        self.tally = EpochTally.of(len(recipes), self._device)
        self.tables: EpochTables | None = None
        optimizer.prepare({name: network.weights[name] for name in trained_names(network.weights)})

    def train_epoch(self, epoch: int) -> dict[int, EpochRecord]:
        """One pass over the training split; a record for each network that was alive before, by its number."""
        common, device = self.recipes[0], self._device
        batches = shuffled_batches(len(self.data.train_labels), common.batch_size, common.batch_seed, epoch)
        sizes = [len(batch) for batch in batches]
        self._begin(epoch, len(batches))
        records: dict[int, EpochRecord] = {}
        look_every = LOOK_EVERY if device.type == "cuda" else 1
        for number, indices in enumerate(batches, start=1):
            self.repeat(self._step, indices.to(device), self.generation)
            if (number % look_every == 0 or number == len(batches)) and not bool(self.tally.alive.all()):
                records |= self._take_out_diverged(epoch, sizes)
                if not self.members:
                    return records
        self.optimizer.settle(self.network.weights)
        self.epochs, self.steps = epoch, self.steps + len(batches)
        records |= self._validated(epoch, sizes)
        self._keep([place for place, member in enumerate(self.members) if not is_diverged(records[member])])
        return records

    def states(self) -> dict[int, TrainingState]:
        """Copies of what each living network needs for its next epoch, by its number."""
        return {
            member: TrainingState(
                self.epochs,
                self.steps,
                {name: value[place].clone() for name, value in self.network.weights.items()},
                {
                    slot: {name: value[place].clone() for name, value in values.items()}
                    for slot, values in self.optimizer.slots.items()
                },
            )
            for place, member in enumerate(self.members)
        }

    @property
    def _device(self) -> torch.device:
        return self.dropout.shares.device

    def _begin(self, epoch: int, batches: int) -> None:
        """What a recorded step uses stays where it lies."""
        tables = self._tables(epoch, batches)
        if self.tables is not None and self.tables.rates.shape == tables.rates.shape:
            self.tables.fill(tables)
        else:
            self.tables = tables
            self.generation += 1
        self.tally.clear()
        self.dropout.step.fill_(self.steps)

    def _tables(self, epoch: int, batches: int) -> EpochTables:
        device, recipes = self._device, [self.recipes[member] for member in self.members]
        rates = [[_rate(recipe, epoch, number, batches) for recipe in recipes] for number in range(batches)]
        keys = [augmentation_keys(recipes[0], epoch, number) for number in range(batches)]
        return EpochTables(
            rates=torch.tensor(rates, dtype=self.optimizer.momentum.dtype, device=device),
            augmentation=torch.tensor(keys, device=device),
            counts=torch.arange(self.steps + 1, self.steps + batches + 1, dtype=torch.float64, device=device),
            row=torch.zeros((), dtype=torch.int64, device=device),
        )

    def _step(self, indices: Tensor) -> None:
        """One step of every network; only tensors on the device change, so that a GPU can record it."""
        tables = self.tables
        assert tables is not None, "an epoch has begun"
        labels = self.data.train_labels[indices]
        batch = read_batch(self.data.train_pixels, indices)
        pixels = augment(batch, self.recipes[0].augmentation, tables.now(tables.augmentation))
        # A recorded step must cast anew each time: the cache would be one of values that have changed since.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.autocast, cache_enabled=False):
            losses, right, gradients = self.network.losses_and_gradients(
                self.normalization(pixels), labels, self.dropout, self.optimizer.scales
            )
        self.tally.add(losses, right, len(indices))
        rates, steps = tables.now(tables.rates), tables.now(tables.counts)
        for name, gradient in gradients.items():
            self.optimizer.step(name, self.network.weights[name], gradient, rates, steps)
        tables.row.add_(1)
        self.dropout.step.add_(1)

    def _take_out_diverged(self, epoch: int, sizes: Sequence[int]) -> dict[int, EpochRecord]:
        alive = self.tally.alive.tolist()
        records = {
            member: self._record(place, epoch, sizes, train_loss=math.inf)
            for place, member in enumerate(self.members)
            if not alive[place]
        }
        self._keep([place for place, living in enumerate(alive) if living])
        return records

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

    def _validated(self, epoch: int, sizes: Sequence[int]) -> dict[int, EpochRecord]:
        penalties = self._penalties().tolist()
        losses, accuracies = self._evaluate()
        records = {}
        for place, member in enumerate(self.members):
            train_loss = self.tally.losses[place].item() / sum(sizes) + penalties[place]
            records[member] = self._record(place, epoch, sizes, train_loss, losses[place], accuracies[place])
        return records

    def _record(
        self,
        place: int,
        epoch: int,
        sizes: Sequence[int],
        train_loss: float,
        validation_loss: float = math.inf,
        validation_accuracy: float = 0.0,
    ) -> EpochRecord:
        steps = int(self.tally.steps[place])
        finite = math.isfinite(train_loss)
        return EpochRecord(
            epoch=epoch,
            learning_rate=_rate(self.recipes[self.members[place]], epoch, steps - 1, len(sizes)),
            train_loss=train_loss if finite else None,
            train_accuracy=int(self.tally.correct[place]) / sum(sizes[:steps]),
            validation_loss=validation_loss if finite and math.isfinite(validation_loss) else None,
            validation_accuracy=validation_accuracy if finite else 0.0,
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

    @torch.no_grad()
    def _evaluate(self) -> tuple[list[float], list[float]]:
        """Mean cross-entropy and accuracy of each network on the validation split."""
        pixels, labels = self.data.validation_pixels, self.data.validation_labels
        networks, seen = len(self.members), 0
        losses = torch.zeros(networks, dtype=torch.float64, device=self._device)
        correct = torch.zeros(networks, dtype=torch.int64, device=self._device)
        for batch in pixels.split(images_at_once(pixels.shape[1:], EVALUATION_BATCH)):
            scores = self.network.scores(self.normalization(batch))
            expected = labels[seen : seen + len(batch)]
            each = functional.cross_entropy(scores.double(), expected.expand(networks, -1), reduction="none")
            losses += each.sum(dim=1)
            correct += (answers(scores) == expected).sum(dim=1)
            seen += len(batch)
        return (losses / seen).tolist(), (correct.double() / seen).tolist()


def _rate(recipe: Recipe, epoch: int, number: int, batches: int) -> float:
    progress = (epoch - 1 + number / batches) / recipe.epochs
    return learning_rate_at(recipe.schedule, recipe.learning_rate, progress, recipe.warmup)
