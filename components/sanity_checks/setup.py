"""What the checks look at: a network, the data it would train on, and how."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.schemas.checks import CheckSettings, ProbedRate
from sanefit.components.foundation.training.loop.gradient_step import Loss, Step, gradient_step
from sanefit.components.foundation.training.loop.training_images import Images

DEFAULTS = CheckSettings()


@dataclass(frozen=True)
class Setup:
    """Everything that a training needs; the checks train copies of the classifier.

    ``classifier``: freshly initialized, from uint8 (images, height, width, channels) to scores.
    ``classes``: K. Pixels are uint8 (images, height, width, channels), labels int64 (images,).
    ``learning_rates``, ``weight_decays``: the ranges that would be searched; None when nobody asked.
    ``thresholds``: of the checks. ``probe``: the learning rates that were probed, once they are.
    ``loss``, ``step``: what a training minimizes, and how it steps.
    """

    classifier: nn.Module
    classes: int
    train_pixels: Images
    train_labels: Tensor
    validation_pixels: Images
    validation_labels: Tensor
    batch_size: int = 128
    momentum: float = 0.9
    learning_rates: tuple[float, float] | None = None
    weight_decays: tuple[float, float] | None = None
    seed: int = 0
    thresholds: CheckSettings = DEFAULTS
    probe: tuple[ProbedRate, ...] = ()
    loss: Loss = functional.cross_entropy
    step: Step = gradient_step

    def images(self, most: int) -> tuple[Tensor, Tensor]:
        """Training images and labels, drawn with the seed: files lie sorted by class in many a data set."""
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(len(self.train_labels), generator=generator)[:most]
        return self.train_pixels[chosen], self.train_labels[chosen]

    def copy(self, dropout: bool = True) -> nn.Module:
        """A copy of the classifier in training mode; without dropout when asked so."""
        classifier = copy.deepcopy(self.classifier).train()
        if not dropout:
            for module in classifier.modules():
                if isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.AlphaDropout):
                    module.p = 0.0
        return classifier
