"""A few steps of the trainer itself: what the checks find of a step is so of the search and of the final training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.training.loop.gradient_step import Loss, Step, gradient_step
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.foundation.training.loop.training_options import TrainingOptions


@dataclass(frozen=True)
class Descent:
    """An optimizer, by default plain SGD; the rest as a ``Recipe`` has it."""

    optimizer: OptimizerKind = "sgd"
    momentum: float = 0.0
    backbone_rate: float = 1.0
    gradient_clip: float = 0.0
    nesterov: bool = False


PLAIN_SGD = Descent()


def short_training(
    classifier: nn.Module,
    pixels: Images,
    labels: Tensor,
    learning_rate: float,
    *,
    loss: Loss,
    step: Step,
    descent: Descent = PLAIN_SGD,
) -> Training:
    """Ready to step on the loss without regularization, at a constant rate, on images that are neither augmented nor
    erased nor mixed: what is asked is whether the network can learn, and how fast.

    Args:
        classifier: from uint8 (images, height, width, channels) to scores; it is trained in place.
        pixels, labels: what it steps on; labels are int64 (images,).
        learning_rate, descent: how it descends.
        loss, step: as ``TrainingOptions`` has them.
    """
    whole = classifier if isinstance(classifier, Classifier) else Classifier(nn.Identity(), classifier)
    recipe = Recipe(
        learning_rate=learning_rate,
        weight_decay=0.0,
        momentum=descent.momentum,
        batch_size=len(labels),
        epochs=1,
        batch_seed=0,
        optimizer=descent.optimizer,
        backbone_rate=descent.backbone_rate,
        gradient_clip=descent.gradient_clip,
        nesterov=descent.nesterov,
    )
    data = TrainingData(pixels, labels, pixels, labels)
    return Training(whole.train(), data, recipe, TrainingOptions(loss=loss, step=step))


@torch.enable_grad()
def take_steps(classifier: nn.Module, pixels: Images, labels: Tensor, learning_rate: float, steps: int) -> nn.Module:
    """The classifier, after so many steps of plain SGD on all of these images at once, by the cross-entropy."""
    training = short_training(
        classifier, pixels, labels, learning_rate, loss=functional.cross_entropy, step=gradient_step
    )
    for _ in range(steps):
        training.step(torch.arange(len(labels)), learning_rate)
    return classifier
