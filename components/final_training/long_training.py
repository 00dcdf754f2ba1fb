"""The plain loop with what a long training adds.

Smoothed labels, averaged weights, bfloat16, and several processes that share each batch.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sanefit.components.final_training.gpu_arithmetic import has_bfloat16
from sanefit.components.final_training.part_dropout import convert_part_dropout
from sanefit.components.final_training.several_processes import as_the_first_has_it, sum_of_all
from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.keyed_dropout import dropout_layers, key_dropout
from sanefit.components.foundation.image_dataset.augmentation import augment
from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart, shuffled_batches
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.evaluation import evaluate
from sanefit.components.foundation.training.loop.loss import decayed_weights, penalty
from sanefit.components.foundation.training.loop.optimizers import (
    make_optimizer,
    optimizer_slots,
    penalized,
    restore_slots,
    set_learning_rate,
)
from sanefit.components.foundation.training.loop.plain_loop import TrainingData, TrainingState, augmentation_keys
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.schedules import learning_rate_at
from sanefit.components.foundation.training.loop.training_images import read_batch

LOOK_EVERY = 50  # steps; to look at a number on a GPU, or at all processes' sum, makes them wait


@dataclass(frozen=True)
class LongState:
    """A training between two epochs; ``averaged``: the averaged classifier's values by name, empty without one."""

    training: TrainingState
    averaged: Mapping[str, Tensor]


class LongTraining:
    """One network that is trained an epoch at a time."""

    def __init__(
        self,
        classifier: Classifier,
        data: TrainingData,
        recipe: Recipe,
        final: FinalTrainingSettings,
        part: BatchPart = WHOLE,
        state: LongState | None = None,
    ) -> None:
        """
        Args:
            classifier: from raw pixels to scores, on the data's device; it is trained in place.
            data: both splits.
            recipe, final: how.
            part: what this process trains on; with several, the process group has begun.
            state: where to go on; without it the classifier is trained as it is.
        """
        self.device = data.train_labels.device
        if self.device.type == "cuda":
            classifier.to(memory_format=torch.channels_last)
            if part.ranks > 1:  # torch has it for GPUs alone: on CPUs each process normalizes its own part
                nn.SyncBatchNorm.convert_sync_batchnorm(classifier)
        self.classifier, self.data, self.recipe, self.final, self.part = classifier, data, recipe, final, part
        self.epochs, self.steps = 0, 0
        self.weights = decayed_weights(classifier.network)
        self.optimizer = make_optimizer(classifier.network, recipe)
        self.averaged = _averaged(classifier, final.weight_averaging)
        key_dropout(classifier.network, recipe.noise_seed)
        if part.ranks > 1:
            convert_part_dropout(classifier.network, part)
        if state is not None:
            self._restore(state)
        shared = DistributedDataParallel(classifier) if part.ranks > 1 else classifier  # running averages: the first's
        self.forward: nn.Module = shared

    @property
    def kept(self) -> nn.Module:
        """What is validated and kept: the averaged classifier if there is one."""
        return self.averaged.module if self.averaged else self.classifier

    def train_epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training split, then a look at the validation split.

        ``train_loss`` is the mean cross-entropy of the batches against the true labels, smoothed or not, plus the
        penalty after the last. An averaged classifier is validated with averages of batch norm's running averages, for
        to take them anew over the training split would cost a third of an epoch.
        """
        recipe = self.recipe
        batches = shuffled_batches(len(self.data.train_labels), recipe.batch_size, recipe.batch_seed, epoch)
        tally = torch.zeros(3, dtype=torch.float64, device=self.device)  # loss, right answers, images
        rate = 0.0
        self.classifier.train()
        with self._seeded(epoch):
            for number, indices in enumerate(batches):
                progress = (epoch - 1 + number / len(batches)) / recipe.epochs
                rate = learning_rate_at(recipe.schedule, recipe.learning_rate, progress, recipe.warmup)
                tally += self._step(indices, rate, epoch, number)
                if self._is_time_to_look(number) and not math.isfinite(sum_of_all(tally, self.part)[0]):
                    break
        self.epochs = epoch
        total, right, seen = sum_of_all(tally, self.part).tolist()
        return self._record(rate, total / seen + self._penalty().item(), right / seen)

    def state(self) -> LongState:
        """Copies of everything that the next epoch needs."""
        network = self.classifier.network
        training = TrainingState(
            self.epochs, self.steps, copies(network.state_dict()), optimizer_slots(self.optimizer, network)
        )
        return LongState(training, copies(self.averaged.state_dict()) if self.averaged else {})

    def _restore(self, state: LongState) -> None:
        training = state.training
        self.epochs, self.steps = training.epochs, training.steps
        self.classifier.network.load_state_dict(dict(training.weights))
        restore_slots(self.optimizer, self.classifier.network, training.slots, training.steps)
        if self.averaged:
            self.averaged.load_state_dict(dict(state.averaged))

    def _step(self, indices: Tensor, rate: float, epoch: int, number: int) -> Tensor:
        """Train on this process's part of a batch; what to add to the tally, as it was before the step."""
        set_learning_rate(self.optimizer, rate)
        for layer in dropout_layers(self.classifier.network):
            layer.step.fill_(self.steps)
        chosen = self.part.of(indices).to(self.device, non_blocking=True)
        labels = self.data.train_labels[chosen]
        scores = self._scores(chosen, epoch, number)
        cross_entropy = functional.cross_entropy(scores, labels)
        if self._always_steps or math.isfinite(cross_entropy.item()):
            self.optimizer.zero_grad()
            # The processes' gradients are averaged: so each weighs as much as its part of the batch.
            weight = len(chosen) * self.part.ranks / len(indices)
            (self._loss(scores, labels, cross_entropy) * weight + self._penalty()).backward()
            self.optimizer.step()
            self.steps += 1
            if self.averaged:
                self.averaged.update_parameters(self.classifier)
        right = (scores.argmax(dim=1) == labels).sum()
        return torch.stack([cross_entropy.detach().double() * len(chosen), right, labels.new_tensor(len(chosen))])

    def _scores(self, chosen: Tensor, epoch: int, number: int) -> Tensor:
        pixels = read_batch(self.data.train_pixels, chosen)
        keys = torch.tensor(augmentation_keys(self.recipe, epoch, number), device=pixels.device)
        pixels = augment(pixels, self.recipe.augmentation, keys, self.part)
        mixed = self.final.mixed_precision and has_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            scores: Tensor = self.forward(pixels)
        return scores.float() if mixed else scores

    def _loss(self, scores: Tensor, labels: Tensor, cross_entropy: Tensor) -> Tensor:
        smoothing = self.final.label_smoothing
        return functional.cross_entropy(scores, labels, label_smoothing=smoothing) if smoothing else cross_entropy

    def _penalty(self) -> Tensor:
        """0 without one, whatever the weights are."""
        decay = penalized(self.recipe)
        return penalty(self.weights, decay) if decay else torch.tensor(0.0)

    def _record(self, rate: float, train_loss: float, train_accuracy: float) -> EpochRecord:
        finite = math.isfinite(train_loss)
        loss, accuracy = self._validation() if finite else (math.nan, 0.0)
        return EpochRecord(
            epoch=self.epochs,
            learning_rate=rate,
            train_loss=train_loss if finite else None,
            train_accuracy=train_accuracy,
            validation_loss=loss if math.isfinite(loss) else None,
            validation_accuracy=accuracy,
        )

    def _validation(self) -> tuple[float, float]:
        """Loss and accuracy as the first process finds them, so that all decide alike."""
        found = torch.zeros(2, dtype=torch.float64, device=self.device)
        if self.part.rank == 0:
            evaluation = evaluate(self.kept, self.data.validation_pixels, self.data.validation_labels)
            found += torch.tensor([evaluation.loss, evaluation.accuracy], dtype=torch.float64, device=self.device)
        loss, accuracy = as_the_first_has_it(found, self.part).tolist()
        return loss, accuracy

    @property
    def _always_steps(self) -> bool:
        """Where looking is dear a step may be taken at a loss that is not finite; its epoch is never kept."""
        return self.device.type == "cuda" or self.part.ranks > 1

    def _is_time_to_look(self, number: int) -> bool:
        return not self._always_steps or number % LOOK_EVERY == LOOK_EVERY - 1

    @contextmanager
    def _seeded(self, epoch: int) -> Iterator[None]:
        """For dropout that is not ours; with several processes each has its own."""
        rank = [self.part.rank] if self.part.ranks > 1 else []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.recipe.noise_seed, "epoch", epoch, *rank))
            yield


def copies(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values in memory of their own."""
    return {name: value.detach().clone() for name, value in values.items()}


def _averaged(classifier: Classifier, decay: float) -> AveragedModel | None:
    """An exponential average of the weights over the steps (Polyak & Juditsky 1992), and of batch norm's averages."""
    if not decay:
        return None
    return AveragedModel(classifier, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
