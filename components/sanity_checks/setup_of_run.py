"""From what a run is given to what its checks look at."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sanefit.components.foundation.classifiers.classifier import build_classifier
from sanefit.components.foundation.image_dataset.file_facts import read_file_facts
from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.machine.memory import available_memory
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.loop.training_data import TrainingData, read_training_data
from sanefit.components.sanity_checks.choices import Trained, first_choice, not_looked_at, other_choices
from sanefit.components.sanity_checks.cost import fitted
from sanefit.components.sanity_checks.setup import Setup


def setup_of(inputs: TrainingInputs, coarse: CoarseSettings, settings: CheckSettings) -> Setup:
    """With the first choice of everything that is searched, and the others beside.

    Args:
        inputs: network and images; the training and validation splits are read.
        coarse: the ranges that would be searched.
        settings: thresholds, and what to skip.
    """
    data = read_training_data(inputs.dataset, manifest=inputs.manifest)
    made = partial(_setup, inputs, data, coarse, settings)
    others = other_choices(inputs.network, inputs.optimizer, coarse)
    return replace(
        made(first_choice(inputs.network, inputs.optimizer, coarse)),
        choices={words: partial(made, trained) for words, trained in others},
        not_looked_at=not_looked_at(coarse),
        train_files=_files(inputs, "train"),
        validation_files=_files(inputs, "validation"),
    )


def fitted_setup_of(inputs: TrainingInputs, coarse: CoarseSettings, settings: CheckSettings) -> tuple[Setup, int]:
    """The same for this machine, with as many threads as are to compute; arguments as for ``setup_of``."""
    return fitted(setup_of(inputs, coarse, settings), usable_cores(), available_memory(CPU))


def _setup(
    inputs: TrainingInputs, data: TrainingData, coarse: CoarseSettings, settings: CheckSettings, trained: Trained
) -> Setup:
    network, optimizer = trained
    weights_seed = derive_seed(inputs.seed, "sanity")
    return Setup(
        classifier=build_classifier(network, inputs.manifest.image_shape, inputs.classes, inputs.stats, weights_seed),
        classes=inputs.classes,
        train_pixels=data.train_pixels,
        train_labels=data.train_labels,
        validation_pixels=data.validation_pixels,
        validation_labels=data.validation_labels,
        batch_size=optimizer.batch_size,
        momentum=optimizer.momentum,
        optimizer=optimizer.kind,
        learning_rates=coarse.learning_rate,
        weight_decays=coarse.weight_decay,
        has_own_normalization=network.has_own_normalization,
        thresholds=settings,
        seed=derive_seed(inputs.seed, "probe"),
    )


def _files(inputs: TrainingInputs, split: SplitName) -> Tensor | None:
    facts = read_file_facts(inputs.dataset, split, inputs.manifest)
    return None if facts is None else torch.from_numpy(facts)
