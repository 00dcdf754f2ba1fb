"""From what a run is given to what its checks look at."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.image_dataset.file_facts import read_file_facts
from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.machine.memory import available_memory
from sanefit.components.foundation.randomness import derive_seed
from sanefit.components.foundation.schemas.checks import CheckSettings
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.search import CoarseSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.loop.frozen_part import new_part
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.kept_features import training_data_for
from sanefit.components.foundation.training.stacks.trial import Problem
from sanefit.components.sanity_checks.choices import Trained, first_choice, not_looked_at, other_choices
from sanefit.components.sanity_checks.cost import fitted
from sanefit.components.sanity_checks.setup import HeadOnFeatures, Setup


def setup_of(
    inputs: TrainingInputs, coarse: CoarseSettings, settings: CheckSettings, say: Say = lambda _: None
) -> Setup:
    """With the first choice of everything that is searched, and the others beside.

    Args:
        inputs: network and images; the training and validation splits are read.
        coarse: the ranges that would be searched.
        settings: thresholds, and what to skip.
        say: prints a line.
    """
    problem = Problem(inputs.manifest.image_shape, inputs.classes, inputs.stats)
    frozen = inputs.optimizer.freeze_epochs >= coarse.epochs
    data = training_data_for(inputs.dataset, inputs.manifest, inputs.network, problem, say, frozen=frozen)
    made = partial(_setup, inputs, data, coarse, settings)
    others = other_choices(inputs.network, inputs.optimizer, coarse)
    return replace(
        made(first_choice(inputs.network, inputs.optimizer, coarse)),
        choices={words: partial(made, trained) for words, trained in others},
        not_looked_at=not_looked_at(coarse),
        train_files=_files(inputs, "train"),
        validation_files=_files(inputs, "validation"),
    )


def fitted_setup_of(
    inputs: TrainingInputs, coarse: CoarseSettings, settings: CheckSettings, say: Say = lambda _: None
) -> tuple[Setup, int]:
    """The same for this machine, with as many threads as are to compute; arguments as for ``setup_of``."""
    return fitted(setup_of(inputs, coarse, settings, say), usable_cores(), available_memory(CPU))


def _setup(
    inputs: TrainingInputs, data: TrainingData, coarse: CoarseSettings, settings: CheckSettings, trained: Trained
) -> Setup:
    network, optimizer = trained
    weights_seed = derive_seed(inputs.seed, "sanity")
    classifier = build_classifier(network, inputs.manifest.image_shape, inputs.classes, inputs.stats, weights_seed)
    return Setup(
        classifier=classifier,
        classes=inputs.classes,
        train_pixels=data.train_pixels,
        train_labels=data.train_labels,
        validation_pixels=data.validation_pixels,
        validation_labels=data.validation_labels,
        batch_size=optimizer.batch_size * optimizer.accumulate,
        momentum=optimizer.momentum,
        optimizer=optimizer.kind,
        backbone_rate=optimizer.backbone_rate,
        gradient_clip=optimizer.gradient_clip,
        nesterov=optimizer.nesterov,
        searched=_head_on_features(data, classifier),
        learning_rates=coarse.learning_rate,
        weight_decays=coarse.weight_decay,
        has_own_normalization=network.has_own_normalization,
        thresholds=settings,
        seed=derive_seed(inputs.seed, "probe"),
    )


def _head_on_features(data: TrainingData, classifier: Classifier) -> HeadOnFeatures | None:
    if data.train_features is None or data.validation_features is None:
        return None
    head = classifier.network.get_submodule(new_part(classifier, data.train_pixels).head)
    return HeadOnFeatures(Classifier(nn.Identity(), head), data.train_features, data.validation_features)


def _files(inputs: TrainingInputs, split: SplitName) -> Tensor | None:
    facts = read_file_facts(inputs.dataset, split, inputs.manifest)
    return None if facts is None else torch.from_numpy(facts)
