"""What the checks look at: a network, the data it would train on, and how."""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.schemas.checks import CheckName, CheckSettings, ProbedRate, Verdict
from sanefit.components.foundation.schemas.training import OptimizerKind
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.gradient_step import Loss, Step, gradient_step
from sanefit.components.foundation.training.loop.training_images import Images
from sanefit.components.sanity_checks.short_training import Descent
from sanefit.components.sanity_checks.without_chance import without_chance

DEFAULTS = CheckSettings()
MOST_VALUES = 2**22  # pixels in a batch of images
FEWEST = 24  # images in it nevertheless


@dataclass(frozen=True)
class HeadOnFeatures:
    """The new part of a network, and what the rest gives it for each image: float (images, ...)."""

    classifier: nn.Module
    train_features: Tensor
    validation_features: Tensor


@dataclass(frozen=True)
class Setup:
    """Everything that a training needs; the checks train copies of the classifier.

    ``classifier``: freshly initialized, from uint8 (images, height, width, channels) to scores.
    ``batch_size``: images of a step.
    ``classes``: K. Pixels are uint8 (images, height, width, channels), labels int64 (images,).
    ``train_files``, ``validation_files``: what the images' files tell, as ``read_file_facts`` gives it, int64
    (images, 4); None where there are none.
    ``learning_rates``, ``weight_decays``: the ranges that would be searched; None when nobody asked.
    ``thresholds``: of the checks. ``probe``: the learning rates that were probed, once they are. ``verdicts``:
    of the checks that were run before. ``learned``: what a short training reached in validation, mean over classes.
    ``choices``: the other set-ups that would be trained, by what is different, as in ``init=xavier``;
    ``not_looked_at``: names of what is searched beside.
    ``loss``, ``step``: what a training minimizes, and how it steps.
    ``has_own_normalization``: whether pixels are normalized as pretrained weights ask for, not by these images.
    ``searched``: what the search trains where that is not the whole network.
    ``workers``: trainings side by side. ``say``: takes a line of progress; ``clock``: seconds, and ``deadline``, after
    which nothing long is begun.
    """

    classifier: nn.Module
    classes: int
    train_pixels: Images
    train_labels: Tensor
    validation_pixels: Images
    validation_labels: Tensor
    train_files: Tensor | None = None
    validation_files: Tensor | None = None
    batch_size: int = 128
    momentum: float = 0.9
    optimizer: OptimizerKind = "sgd"
    backbone_rate: float = 1.0
    gradient_clip: float = 0.0
    nesterov: bool = False
    searched: "HeadOnFeatures | None" = None
    learning_rates: tuple[float, float] | None = None
    weight_decays: tuple[float, float] | None = None
    seed: int = 0
    thresholds: CheckSettings = DEFAULTS
    probe: tuple[ProbedRate, ...] = ()
    verdicts: Mapping[CheckName, Verdict] = field(default_factory=dict)
    learned: float | None = None
    choices: Mapping[str, Callable[[], "Setup"]] = field(default_factory=dict)
    not_looked_at: tuple[str, ...] = ()
    loss: Loss = functional.cross_entropy
    step: Step = gradient_step
    has_own_normalization: bool = False
    workers: int = 1
    say: Say = lambda _: None
    clock: Clock = time.monotonic
    deadline: float = math.inf

    @property
    def of_search(self) -> "Setup":
        """The same for what the search trains: of a network with a frozen part its head, with features for pixels."""
        head = self.searched
        if head is None:
            return self
        return replace(
            self,
            classifier=head.classifier,
            train_pixels=head.train_features,
            validation_pixels=head.validation_features,
            searched=None,
        )

    @property
    def descent(self) -> Descent:
        """How it is trained, but for the learning rate."""
        return Descent(self.optimizer, self.momentum, self.backbone_rate, self.gradient_clip, self.nesterov)

    @property
    def is_late(self) -> bool:
        """Whether the time for the checks is over."""
        return self.clock() > self.deadline

    def images(self, most: int, values: int = MOST_VALUES) -> tuple[Tensor, Tensor]:
        """Training images and labels, drawn with the seed: files lie sorted by class in many a data set.

        So many, or fewer where they are large: what a network makes of so many ``values`` must fit into memory.
        """
        chosen = self.drawn(most, values)
        return self.train_pixels[chosen], self.train_labels[chosen]

    def drawn(self, most: int, values: int = MOST_VALUES) -> Tensor:
        """The numbers of these images: int64 (most or less,)."""
        affordable = max(FEWEST, values // self.train_pixels[0].numel())
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randperm(len(self.train_labels), generator=generator)[: min(most, affordable)]

    def copy(self, dropout: bool = True) -> nn.Module:
        """A copy of the classifier in training mode; when asked so, without dropout and other chance."""
        classifier = copy.deepcopy(self.classifier).train()
        if not dropout:
            without_chance(classifier, self.seed)
        return classifier


def with_verdict(setup: Setup, name: CheckName, verdict: Verdict) -> Setup:
    """The same for the checks that come after that one."""
    return replace(setup, verdicts={**setup.verdicts, name: verdict})
