"""How one network is trained: everything but the network and the images."""

from dataclasses import dataclass

from sanefit.components.foundation.schemas.training import (
    Augmentation,
    ClassWeights,
    Metric,
    OptimizerKind,
    OptimizerSettings,
    Schedule,
)
from sanefit.components.foundation.training.loop.schedules import learning_rate_at


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    ``learning_rate``: above 0; its course over the steps is ``schedule``'s, after a ``warmup`` in [0, 0.5] of them.
    ``weight_decay``: lambda of the penalty, at least 0, or of the decay beside it (``loop/optimizers.py``).
    ``momentum``: in [0, 1); with Adam its beta 1. ``batch_size``: most images in a batch. ``batch_seed``: of the order
    of the images and their augmentation. ``noise_seed``: of dropout. ``class_weights``: how often each class is shown.
    ``freeze_epochs``: first ones, in which only the new part of a pretrained network is trained; ``backbone_rate``:
    times the learning rate, of its other weights after them. ``erasing``, ``mixup``, ``cutmix``, ``gradient_clip``,
    ``accumulate``, ``nesterov``: as ``OptimizerSettings`` has them.
    ``kept_by``: which epoch the final training keeps. ``judged_class``: the label whose recall is measured.
    """

    learning_rate: float
    weight_decay: float
    momentum: float
    batch_size: int
    epochs: int
    batch_seed: int
    noise_seed: int = 0
    optimizer: OptimizerKind = "sgd"
    schedule: Schedule = "constant"
    warmup: float = 0.0
    augmentation: Augmentation = "none"
    class_weights: ClassWeights = "none"
    freeze_epochs: int = 0
    backbone_rate: float = 1.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    gradient_clip: float = 0.0
    accumulate: int = 1
    nesterov: bool = False
    kept_by: Metric = "accuracy"
    judged_class: int | None = None

    @property
    def mixes_images(self) -> bool:
        """Whether images are mixed with others."""
        return self.mixup > 0 or self.cutmix > 0

    def rate_at(self, epoch: int, number: int, batches: int) -> float:
        """The learning rate of a step: of the ``number``th of so many batches, from 0, in an epoch, from 1."""
        progress = (epoch - 1 + number / batches) / self.epochs
        return learning_rate_at(self.schedule, self.learning_rate, progress, self.warmup)


def recipe_of(
    optimizer: OptimizerSettings,
    *,
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch_seed: int,
    noise_seed: int,
) -> Recipe:
    """The recipe with the settings of the section ``optimizer``."""
    return Recipe(
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        epochs=epochs,
        batch_seed=batch_seed,
        noise_seed=noise_seed,
        **{"optimizer" if name == "kind" else name: value for name, value in optimizer},
    )
