"""Epochs in which the same part of a network is trained: of a pretrained one first its new part, then all of it."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.training.loop.evaluation import Evaluation, evaluate, recall_of
from sanefit.components.foundation.training.loop.frozen_part import NewPart
from sanefit.components.foundation.training.loop.loss import decayed_weights
from sanefit.components.foundation.training.loop.optimizers import make_optimizer
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.several_processes import as_the_first_has_it
from sanefit.components.foundation.training.loop.training_data import TrainingData


@dataclass(frozen=True)
class Phase:
    """``optimizer``: of what is trained, which has no step behind it when the phase begins; ``weights``: those of it
    that the penalty covers; ``frozen_weights``: the others that it covers.

    ``forward``: gives the scores, of pixels, or of features where ``head`` names a module; then only that is run.
    """

    optimizer: torch.optim.Optimizer
    weights: list[Tensor]
    frozen_weights: list[Tensor]
    forward: nn.Module
    head: str = ""

    def evaluate(self, kept: nn.Module, data: TrainingData) -> Evaluation:
        """On the validation split.

        Args:
            kept: the classifier, or the one whose weights are averages.
            data: both splits.
        """
        if not self.head:
            return evaluate(kept, data.validation_pixels, data.validation_labels)
        assert data.validation_features is not None
        head = kept.get_submodule("network").get_submodule(self.head)
        return evaluate(head, data.validation_features, data.validation_labels)


def everything_trains(
    classifier: Classifier, trainable: Collection[nn.Parameter], recipe: Recipe, part: BatchPart
) -> Phase:
    """The phase of the whole network, of which a user may have frozen something for good.

    Args:
        classifier: from raw pixels to scores.
        trainable: its parameters that take a gradient.
        recipe: how.
        part: with several processes, their group has begun.
    """
    for parameter in trainable:
        parameter.requires_grad_(True)
    optimizer = make_optimizer(classifier.network, recipe, classifier.pretrained)
    return Phase(optimizer, decayed_weights(classifier.network), [], _shared(classifier, part))


def new_part_trains(classifier: Classifier, new: NewPart, data: TrainingData, recipe: Recipe, part: BatchPart) -> Phase:
    """The phase in which everything else is frozen, on features where there are any.

    Args:
        classifier, recipe, part: as for ``everything_trains``.
        new: what is trained.
        data: with features, or without.
    """
    named = dict(classifier.network.named_parameters())
    for name, parameter in named.items():
        parameter.requires_grad_(parameter.requires_grad and name in new.names)
    optimizer = make_optimizer(classifier.network, recipe, trained=new.names)
    weights, frozen = ([w for w in decayed_weights(classifier.network) if w.requires_grad == t] for t in (True, False))
    if not new.head or data.train_features is None:
        return Phase(optimizer, weights, frozen, _shared(classifier, part))
    return Phase(optimizer, weights, frozen, _shared(classifier.network.get_submodule(new.head), part), new.head)


def validated(
    phase: Phase, kept: nn.Module, data: TrainingData, judged_class: int | None, part: BatchPart
) -> tuple[float, float, float, float]:
    """Loss, accuracy, balanced accuracy and recall as the first process finds them, so that all decide alike.

    Args:
        phase, kept, data: as for ``Phase.evaluate``.
        judged_class: whose recall it is; NaN without one.
        part: of this process.
    """
    found = torch.zeros(4, dtype=torch.float64, device=data.validation_labels.device)
    if part.rank == 0:
        evaluation = phase.evaluate(kept, data)
        [recall] = recall_of(judged_class, evaluation.recalls.unsqueeze(0))
        measured = [evaluation.loss, evaluation.accuracy, evaluation.balanced_accuracy, recall]
        found += torch.tensor(measured, dtype=torch.float64, device=found.device)
    loss, accuracy, balanced, recall = as_the_first_has_it(found, part).tolist()
    return loss, accuracy, balanced, recall


def _shared(module: nn.Module, part: BatchPart) -> nn.Module:
    return DistributedDataParallel(module) if part.ranks > 1 else module  # running averages: the first's
