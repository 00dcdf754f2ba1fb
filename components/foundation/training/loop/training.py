"""Training, the obvious way: one network, one batch after another. What the final model is trained by, many trials are,
and the trial engine's oracle.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier, in_its_layout
from sanefit.components.foundation.classifiers.keyed_dropout import dropout_layers, key_dropout
from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.augmented_batch import (
    NO_CHANCE,
    Draws,
    draws_of,
    targets_of,
    training_pixels,
)
from sanefit.components.foundation.training.loop.epoch_batches import epoch_batches
from sanefit.components.foundation.training.loop.epoch_records import epoch_record
from sanefit.components.foundation.training.loop.epoch_tally import LOOK_EVERY, EpochTally
from sanefit.components.foundation.training.loop.frozen_part import EVERYTHING, new_part, only_new_part_trains
from sanefit.components.foundation.training.loop.gradient_step import ALONE, InGroup, in_group, scaled_step
from sanefit.components.foundation.training.loop.loss import penalty
from sanefit.components.foundation.training.loop.optimizers import (
    optimizer_slots,
    penalized,
    restore_slots,
    set_learning_rate,
    steps_taken,
)
from sanefit.components.foundation.training.loop.part_dropout import convert_part_dropout, seed_other_noise
from sanefit.components.foundation.training.loop.phases import Phase, everything_trains, new_part_trains, validated
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.several_processes import sum_of_all
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_images import read_batch
from sanefit.components.foundation.training.loop.training_options import OBVIOUS, TrainingOptions
from sanefit.components.foundation.training.loop.training_state import BegunEpoch, TrainingState, copies, settled
from sanefit.components.foundation.training.loop.weight_averaging import averaged_copy


class Training:
    """One network that is trained an epoch at a time."""

    def __init__(
        self,
        classifier: Classifier,
        data: TrainingData,
        recipe: Recipe,
        options: TrainingOptions = OBVIOUS,
        part: BatchPart = WHOLE,
        state: TrainingState | None = None,
    ) -> None:
        """
        Args:
            classifier: from raw pixels to scores, on the data's device; it is trained in place.
            data: both splits.
            recipe, options: how.
            part: what this process trains on; with several, the process group has begun.
            state: where to go on; without it the classifier is trained as it is.
        """
        self.device = data.train_labels.device
        if self.device.type == "cuda":
            in_its_layout(classifier)
            if part.ranks > 1:  # torch has it for GPUs alone: on CPUs each process normalizes its own part
                nn.SyncBatchNorm.convert_sync_batchnorm(classifier)
        self.classifier, self.data, self.recipe, self.options, self.part = classifier, data, recipe, options, part
        self.epochs, self.steps, self.batches = (state.epochs, state.steps, 0) if state else (0, 0, 0)
        self.tally = EpochTally.of(1, self.device)
        self.new = new_part(classifier, data.train_pixels) if recipe.freeze_epochs else EVERYTHING
        self.trainable = [parameter for parameter in classifier.network.parameters() if parameter.requires_grad]
        self.averaged, self.scaler = averaged_copy(classifier, options.weight_averaging), options.arithmetic.scaler()
        self.dropouts = dropout_layers(classifier.network)
        key_dropout(classifier.network, recipe.noise_seed)
        if part.ranks > 1:
            convert_part_dropout(classifier.network, part)
        self.phase = self._phase()
        if state is not None:
            self._restore(state)

    @property
    def is_frozen(self) -> bool:
        """Whether only the network's new part is trained now."""
        return self.epochs < self.recipe.freeze_epochs

    @property
    def kept(self) -> nn.Module:
        """What is validated and kept: the averaged classifier if there is one."""
        return self.averaged.module if self.averaged else self.classifier

    def train_epoch(self, epoch: int, after_batch: Callable[[], None] = lambda: None) -> EpochRecord:
        """One pass over the training split, or the rest of one, then a look at the validation split.

        An averaged classifier is validated with averages of batch norm's running averages, for to take them anew over
        the training split would cost a third of an epoch.

        Args:
            epoch: from 1.
            after_batch: called where ``state`` can be asked for, on all processes at the same; what it raises ends the
                training there.
        """
        recipe, batches = self.recipe, epoch_batches(self.data.train_labels, self.recipe, epoch)
        sizes = [len(batch) for batch in batches]
        self.classifier.train()
        if self.is_frozen:
            only_new_part_trains(self.classifier.network, self.new)
        with torch.random.fork_rng(devices=[]):
            for number in range(self.batches, len(batches)):
                seed_other_noise(recipe.noise_seed, epoch, number, self.part, self.device)
                rate = recipe.rate_at(epoch, number, len(batches))
                draws = NO_CHANCE if self.is_frozen else draws_of(recipe, epoch, number, self.data.train_pixels.shape)
                group = in_group(sizes, number, recipe.accumulate)
                loss, right = self.step(batches[number], rate, draws, group)
                self.tally.add(loss.reshape(1), right.reshape(1), len(self.part.of(batches[number])))
                self.batches = number + 1
                looks = self._is_time_to_look(number, group)
                if looks and not math.isfinite(sum_of_all(self.tally.losses, self.part).item()):
                    break
                if group.is_last and (looks or self.part.ranks == 1):
                    after_batch()
        record = self._record(epoch, len(batches))
        self.epochs, self.batches = epoch, 0
        self.tally.clear()
        if epoch == recipe.freeze_epochs:
            self.phase = self._phase()
        return record

    def step(
        self, indices: Tensor, rate: float, draws: Draws = NO_CHANCE, group: InGroup = ALONE
    ) -> tuple[Tensor, Tensor]:
        """Train on this process's part of a batch.

        On one process and a CPU no step is taken where the cross-entropy is not finite. Elsewhere, where looking is
        dear, it is taken; its epoch is never kept.

        Args:
            indices: int64 (images,), of the training split.
            rate: learning rate.
            draws: what chance does to the images.
            group: batches that make one step.

        Returns:
            The mean cross-entropy against the labels, mixed where the images are, and the number of right answers,
            int64: scalars on the device, as they were before the step.
        """
        set_learning_rate(self.phase.optimizer, rate)
        for layer in self.dropouts:
            layer.step.fill_(self.steps)
        indices = indices.to(self.device, non_blocking=True)
        targets = targets_of(self.data.train_labels, indices, draws, self.part)
        scores = self._scores(self._inputs(indices, draws))
        cross_entropy = targets.mean(functional.cross_entropy, scores)
        if self._always_steps or math.isfinite(cross_entropy.item()):
            plain = self.options.loss is functional.cross_entropy
            loss = cross_entropy if plain else targets.mean(self.options.loss, scores)
            # The processes' gradients are averaged: so each weighs as much as its part of the batch.
            weight = len(targets.labels) * self.part.ranks / len(indices)
            self._descend(loss * weight + self._penalty(), group)
            self.steps += 1
        return cross_entropy.detach(), targets.right(scores)

    def state(self) -> TrainingState:
        """Copies of everything that the next step needs; of several processes, all ask for it within an epoch."""
        network = self.classifier.network
        begun = BegunEpoch(self.batches, self._counted_by_each()) if self.batches else None
        return TrainingState(
            self.epochs,
            self.steps,
            copies(network.state_dict()),
            optimizer_slots(self.phase.optimizer, network),
            copies(self.averaged.state_dict()) if self.averaged else {},
            begun,
            steps_taken(self.phase.optimizer),
            self.scaler.state_dict(),
        )

    def _phase(self) -> Phase:
        if self.is_frozen:
            return new_part_trains(self.classifier, self.new, self.data, self.recipe, self.part)
        return everything_trains(self.classifier, self.trainable, self.recipe, self.part)

    def _descend(self, loss: Tensor, group: InGroup) -> None:
        """Towards a lower loss of this process's part of a batch."""
        if self.scaler.is_enabled() or self.recipe.accumulate > 1:
            scaled_step(self.phase.optimizer, loss * group.share, group, self.scaler)
        else:
            self.options.step(self.phase.optimizer, loss)
        if self.averaged and group.is_last:
            self.averaged.update_parameters(self.classifier)

    def _inputs(self, indices: Tensor, draws: Draws) -> Tensor:
        """Of what is run forward: features, or pixels."""
        if self.phase.head:
            assert self.data.train_features is not None
            return read_batch(self.data.train_features, self.part.of(indices))
        return training_pixels(self.data.train_pixels, indices, self.recipe, draws, self.part)

    def _scores(self, inputs: Tensor) -> Tensor:
        with self.options.arithmetic.autocast():
            scores: Tensor = self.phase.forward(inputs)
        return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores

    def _restore(self, state: TrainingState) -> None:
        self.classifier.network.load_state_dict(dict(settled(state).weights))
        taken = state.steps if state.taken is None else state.taken
        restore_slots(self.phase.optimizer, self.classifier.network, state.slots, taken)
        self.scaler.load_state_dict(dict(state.scaling))
        if self.averaged:
            self.averaged.load_state_dict(dict(state.averaged))
        if state.begun is not None:
            self.batches = state.begun.batches
            self.tally.restore(state.begun.counted[self.part.rank].unsqueeze(0), self.batches)

    def _counted_by_each(self) -> Tensor:
        """Of this epoch, (processes, 3)."""
        rows = torch.zeros(self.part.ranks, 3, dtype=torch.float64, device=self.device)
        rows[self.part.rank] = self.tally.counted[0]
        return sum_of_all(rows, self.part)

    def _penalty(self, *, whole: bool = False) -> Tensor:
        """Of the weights that are trained, or of the ``whole`` network; 0 without one, whatever they are."""
        decay = penalized(self.recipe)
        weights = self.phase.weights + (self.phase.frozen_weights if whole else [])
        return penalty(weights, decay) if decay and weights else torch.tensor(0.0)

    def _record(self, epoch: int, batches: int) -> EpochRecord:
        losses, right, images = sum_of_all(self.tally.counted[0], self.part).tolist()
        train_loss = losses / images + self._penalty(whole=True).item()
        recipe, finite = self.recipe, math.isfinite(train_loss)
        rate = recipe.rate_at(epoch, int(self.tally.steps) - 1, batches)
        found = validated(self.phase, self.kept, self.data, recipe.judged_class, self.part) if finite else ()
        record = epoch_record(epoch, rate, train_loss, right / images, *found)
        return record.model_copy(update={"mixed_images": recipe.mixes_images})

    @property
    def _always_steps(self) -> bool:
        return self.device.type == "cuda" or self.part.ranks > 1

    def _is_time_to_look(self, number: int, group: InGroup) -> bool:
        """Where looking is dear, after a step."""
        groups, every = number // self.recipe.accumulate, max(1, LOOK_EVERY // self.recipe.accumulate)
        return not self._always_steps or (group.is_last and groups % every == every - 1)
