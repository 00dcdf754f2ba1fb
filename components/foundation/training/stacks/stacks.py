"""From trials to a training of them all: a stack of our own, one by torch.func, or one network after another."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier, in_its_layout
from sanefit.components.foundation.classifiers.keyed_dropout import dropout_layers, layer_key
from sanefit.components.foundation.schemas.networks import (
    ConvNetSettings,
    MlpSettings,
    NetworkSettings,
    TwoLayerSettings,
)
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.foundation.training.loop.training_state import TrainingState, settled
from sanefit.components.foundation.training.stacks.stacked_convnet import StackedConvNet
from sanefit.components.foundation.training.stacks.stacked_dense import StackedDense
from sanefit.components.foundation.training.stacks.stacked_network import StackedDropout, StackedNetwork
from sanefit.components.foundation.training.stacks.stacked_optimizer import StackedOptimizer
from sanefit.components.foundation.training.stacks.stacked_training import Repeat, Stack, StackedTraining, call
from sanefit.components.foundation.training.stacks.trial import Problem, Trial
from sanefit.components.foundation.training.stacks.vmapped_network import VmappedNetwork

EngineName = Literal["stacked", "vmapped", "loop"]


class TrialsInTraining(Protocol):
    """Trials in training; between two calls the same number of epochs lies behind all of them.

    ``known``: of the epoch that is in training, the records that are known before its end, by the trial's number in the
    list of trials. Where trainings go on in mid-epoch, the caller puts there what was known of those in the list.
    """

    known: dict[int, EpochRecord]

    def train_epoch(self, epoch: int, after_batch: Callable[[], None] = lambda: None) -> dict[int, EpochRecord]:
        """One pass over the training split, or the rest of one.

        Args:
            epoch: from 1.
            after_batch: called where ``states`` can be asked for; what it raises ends the training there.

        Returns:
            A record for each trial that was alive before, by its number.
        """

    def states(self) -> dict[int, TrainingState]:
        """Copies of what each living trial needs for its next step, by its number."""


def start_training(
    engine: EngineName,
    trials: Sequence[Trial],
    problem: Problem,
    data: TrainingData,
    states: Sequence[TrainingState] | None = None,
    repeat: Repeat = call,
) -> TrialsInTraining:
    """Trials of one shape, ready to train.

    Args:
        engine: ``stacked`` for networks that say ``is_stacked``, ``vmapped`` or ``loop`` for any.
        trials: at least one; networks alike but for initialization and dropout, the same batches, epochs, augmentation
            and kind of optimizer.
        problem: what they learn.
        data: both splits, on the problem's device.
        states: where each goes on, after the same batch but for the loop; without them they begin.
        repeat: takes the steps of a stack.

    Raises:
        SettingsError, StorageError: as ``build_classifier``.
    """
    if engine == "loop":
        return TrialsInTurn(trials, problem, data, states)
    classifiers = [problem.classifier(trial) for trial in trials]
    if states is not None and engine != "stacked":  # no other keeps scales
        states = [settled(state) for state in states]
    if states is not None:
        for classifier, state in zip(classifiers, states, strict=True):
            classifier.network.load_state_dict(dict(state.weights))
    weights = _stack([dict(classifier.network.state_dict()) for classifier in classifiers])
    template = max(classifiers, key=lambda classifier: len(dropout_layers(classifier.network))).network
    stack = Stack(
        _network(engine, trials[0].network, weights, template),
        _optimizer(trials, weights, states),
        _dropout(trials, classifiers, weights),
        classifiers[0].normalization,
    )
    return StackedTraining(
        stack,
        data,
        [trial.recipe for trial in trials],
        states=states,
        repeat=repeat,
        arithmetic=problem.arithmetic(trials[0].network),
    )


class TrialsInTurn:
    """A training for each trial, one after another; convolutions with the channels last, which CPUs like."""

    def __init__(
        self,
        trials: Sequence[Trial],
        problem: Problem,
        data: TrainingData,
        states: Sequence[TrainingState] | None,
    ) -> None:
        self.known: dict[int, EpochRecord] = {}
        self.trainings = {
            number: Training(
                in_its_layout(problem.classifier(trial)),
                data,
                trial.recipe,
                TrainingOptions(arithmetic=problem.arithmetic(trial.network)),
                state=states[number] if states else None,
            )
            for number, trial in enumerate(trials)
        }

    def train_epoch(self, epoch: int, after_batch: Callable[[], None] = lambda: None) -> dict[int, EpochRecord]:
        """As ``TrialsInTraining``."""
        for number, training in list(self.trainings.items()):
            if number not in self.known:
                self.known[number] = training.train_epoch(epoch, after_batch)
                if is_diverged(self.known[number]):
                    del self.trainings[number]
        records, self.known = self.known, {}
        return records

    def states(self) -> dict[int, TrainingState]:
        """As ``TrialsInTraining``."""
        return {number: training.state() for number, training in self.trainings.items()}


def _stack(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def _network(
    engine: EngineName, settings: NetworkSettings, weights: dict[str, Tensor], template: nn.Module
) -> StackedNetwork:
    if engine == "vmapped":
        return VmappedNetwork(weights, template)
    match settings:
        case TwoLayerSettings(activation=activation, batch_norm=batch_norm):
            return StackedDense(weights, 1, activation, batch_norm)
        case MlpSettings(depth=depth, activation=activation, batch_norm=batch_norm):
            return StackedDense(weights, depth, activation, batch_norm)
        case ConvNetSettings(channels=channels, activation=activation, batch_norm=batch_norm):
            return StackedConvNet(weights, len(channels), activation, batch_norm)
    raise AssertionError(f"no stack for {settings.kind}")


def _optimizer(
    trials: Sequence[Trial], weights: dict[str, Tensor], states: Sequence[TrainingState] | None
) -> StackedOptimizer:
    like = next(value for value in weights.values() if value.is_floating_point())
    recipes = [trial.recipe for trial in trials]
    kept = [state.slots for state in states or ()]
    return StackedOptimizer(
        recipes[0].optimizer,
        torch.tensor([recipe.momentum for recipe in recipes], dtype=like.dtype, device=like.device),
        torch.tensor([recipe.weight_decay for recipe in recipes], dtype=like.dtype, device=like.device),
        {
            slot: {name: torch.stack([slots[slot][name].to(like.device) for slots in kept]) for name in values}
            for slot, values in (kept[0].items() if kept else ())
        },
        _scales(states or (), like.device),
        recipes[0].nesterov,
    )


def _scales(states: Sequence[TrainingState], device: torch.device) -> dict[str, Tensor]:
    kept = [state.begun.scales for state in states if state.begun is not None]
    return {name: torch.stack([scales[name].to(device) for scales in kept]) for name in (kept[0] if kept else ())}


def _dropout(trials: Sequence[Trial], classifiers: Sequence[Classifier], weights: dict[str, Tensor]) -> StackedDropout:
    like = next(value for value in weights.values() if value.is_floating_point())
    shares = [trial.network.dropout_share for trial in trials]
    layers = max(len(dropout_layers(classifier.network)) for classifier in classifiers)
    keys = [[layer_key(trial.recipe.noise_seed, layer) for layer in range(layers)] for trial in trials]
    return StackedDropout(
        torch.tensor(shares, dtype=like.dtype, device=like.device),
        torch.tensor(keys, dtype=torch.int64, device=like.device).reshape(len(trials), layers),
        torch.zeros((), dtype=torch.int64, device=like.device),
    )
