"""Training, the obvious way: one network, one batch after another. The trial engine's oracle."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.keyed_dropout import dropout_layers, key_dropout
from sanefit.components.foundation.image_dataset.augmentation import augment
from sanefit.components.foundation.image_dataset.batches import shuffled_batches
from sanefit.components.foundation.randomness import BITS, derive_seed
from sanefit.components.foundation.schemas.images import DatasetReference
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
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.schedules import learning_rate_at
from sanefit.components.foundation.training.loop.training_images import Images, on_device, read_batch, training_images

CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingData:
    """Pixels are uint8 (images, height, width, channels), labels int64 (images,)."""

    train_pixels: Images
    train_labels: Tensor
    validation_pixels: Images
    validation_labels: Tensor


@dataclass(frozen=True)
class TrainingState:
    """A training between two epochs, from which it goes on as if it had never stopped.

    ``weights``: the network's parameters and buffers by name. ``slots``: as ``optimizer_slots`` gives them.
    """

    epochs: int
    steps: int
    weights: Mapping[str, Tensor]
    slots: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


def read_training_data(dataset: DatasetReference, device: torch.device = CPU) -> TrainingData:
    """The training and validation splits of a snapshot, in the device's memory when they fit."""
    train, validation = training_images(dataset, ("train", "validation"), device)
    return TrainingData(*train, *validation)


def data_on(data: TrainingData, device: torch.device) -> TrainingData:
    """The same images and labels on a device; images on disk stay there."""
    return TrainingData(
        on_device(data.train_pixels, device),
        data.train_labels.to(device),
        on_device(data.validation_pixels, device),
        data.validation_labels.to(device),
    )


def visible_devices() -> list[torch.device]:
    """Every GPU that this process can see; without one, the CPU."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())] or [CPU]


def train(
    classifier: Classifier,
    data: TrainingData,
    recipe: Recipe,
    after_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> tuple[Literal["ok", "diverged"], list[EpochRecord]]:
    """Minimize the regularized loss, in place, over all epochs of the recipe.

    Stops at once when a batch's loss is not finite, or an epoch ends with a validation loss that
    is not; the last record then holds ``None`` for it.

    Args:
        classifier: from raw pixels to scores, on the data's device.
        data: both splits.
        recipe: how.
        after_epoch: called with each record.

    Returns:
        The status, and one record per epoch begun.
    """
    training = PlainTraining(classifier, data, recipe)
    records: list[EpochRecord] = []
    for epoch in range(1, recipe.epochs + 1):
        records.append(training.train_epoch(epoch))
        after_epoch(records[-1])
        if is_diverged(records[-1]):
            return "diverged", records
    return "ok", records


def is_diverged(record: EpochRecord) -> bool:
    """Whether a loss of this epoch was not finite."""
    return record.train_loss is None or record.validation_loss is None


class PlainTraining:
    """One network that is trained an epoch at a time."""

    def __init__(
        self, classifier: Classifier, data: TrainingData, recipe: Recipe, state: TrainingState | None = None
    ) -> None:
        """
        Args:
            classifier, data, recipe: as for ``train``.
            state: where to go on; without it the classifier is trained as it is.
        """
        self.classifier, self.data, self.recipe = classifier, data, recipe
        self.epochs, self.steps = (0, 0) if state is None else (state.epochs, state.steps)
        self.optimizer = make_optimizer(classifier.network, recipe)
        self.weights = decayed_weights(classifier.network)
        key_dropout(classifier.network, recipe.noise_seed)
        if state is not None:
            classifier.network.load_state_dict(dict(state.weights))
            restore_slots(self.optimizer, classifier.network, state.slots, state.steps)

    def train_epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training split, then a look at the validation split.

        ``train_loss`` is the mean cross-entropy of the batches, each before its step, plus the penalty after the last.
        What is not known of a network that diverged in training is ``None``, and 0 for its validation accuracy.
        """
        data, recipe = self.data, self.recipe
        batches = shuffled_batches(len(data.train_labels), recipe.batch_size, recipe.batch_seed, epoch)
        total_loss, correct, seen = 0.0, 0, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(recipe.noise_seed, "epoch", epoch))  # for dropout that is not ours
            for number, indices in enumerate(batches):
                rate = learning_rate_at(
                    recipe.schedule,
                    recipe.learning_rate,
                    (epoch - 1 + number / len(batches)) / recipe.epochs,
                    recipe.warmup,
                )
                loss, right = self._step(indices, rate, epoch, number)
                total_loss += loss * len(indices)
                correct += right
                seen += len(indices)
                if not math.isfinite(total_loss):
                    break
        self.epochs = epoch
        train_loss = total_loss / seen + self._penalty().item()
        finite = math.isfinite(train_loss)
        validation = evaluate(self.classifier, data.validation_pixels, data.validation_labels) if finite else None
        return EpochRecord(
            epoch=epoch,
            learning_rate=rate,
            train_loss=train_loss if finite else None,
            train_accuracy=correct / seen,
            validation_loss=validation.loss if validation and math.isfinite(validation.loss) else None,
            validation_accuracy=validation.accuracy if validation else 0.0,
        )

    def state(self) -> TrainingState:
        """Copies of everything that the next epoch needs."""
        weights = {name: value.detach().clone() for name, value in self.classifier.network.state_dict().items()}
        slots = optimizer_slots(self.optimizer, self.classifier.network)
        return TrainingState(self.epochs, self.steps, weights, slots)

    def _step(self, indices: Tensor, rate: float, epoch: int, number: int) -> tuple[float, int]:
        """The cross-entropy and the number of right answers before the step; none is taken where it is not finite."""
        self.classifier.train()
        set_learning_rate(self.optimizer, rate)
        for layer in dropout_layers(self.classifier.network):
            layer.step.fill_(self.steps)
        labels = self.data.train_labels[indices]
        pixels = augmented_batch(self.data, self.recipe, indices, epoch, number)
        scores = self.classifier(pixels)
        cross_entropy = functional.cross_entropy(scores, labels)
        if math.isfinite(cross_entropy.item()):
            self.optimizer.zero_grad()
            (cross_entropy + self._penalty()).backward()
            self.optimizer.step()
            self.steps += 1
        return cross_entropy.item(), int((scores.argmax(dim=1) == labels).sum())

    def _penalty(self) -> Tensor:
        """0 without one, whatever the weights are."""
        decay = penalized(self.recipe)
        return penalty(self.weights, decay) if decay else torch.tensor(0.0)


def augmented_batch(data: TrainingData, recipe: Recipe, indices: Tensor, epoch: int, number: int) -> Tensor:
    """The pixels of a batch, the ``number``th of its epoch, as training sees them."""
    pixels = read_batch(data.train_pixels, indices)
    keys = torch.tensor(augmentation_keys(recipe, epoch, number), device=pixels.device)
    return augment(pixels, recipe.augmentation, keys)


def augmentation_keys(recipe: Recipe, epoch: int, number: int) -> list[int]:
    """The three keys that ``augment`` takes for the ``number``th batch of an epoch."""
    if recipe.augmentation == "none":
        return [0, 0, 0]
    return [derive_seed(recipe.batch_seed, "augmentation", epoch, number, part) & BITS for part in range(3)]
