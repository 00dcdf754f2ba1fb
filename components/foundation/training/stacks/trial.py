"""What the engine is given: networks to train, and what they have in common."""

from dataclasses import dataclass, field

import torch

from sanefit.components.foundation.classifiers.classifier import Classifier, build_classifier
from sanefit.components.foundation.machine.arithmetic import Arithmetic, arithmetic_of
from sanefit.components.foundation.machine.devices import CPU
from sanefit.components.foundation.schemas.networks import NetworkSettings
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.training.loop.recipe import Recipe


@dataclass(frozen=True)
class Trial:
    """One network to train. ``seed``: of its initial weights."""

    network: NetworkSettings
    recipe: Recipe
    seed: int


@dataclass(frozen=True)
class Problem:
    """What all networks learn, and where. ``image_shape``: (height, width, channels)."""

    image_shape: tuple[int, int, int]
    classes: int
    stats: ChannelStats
    device: torch.device = field(default=CPU)
    dtype: torch.dtype = torch.float32

    def arithmetic(self, network: NetworkSettings) -> Arithmetic:
        """How such a network is computed here, by whatever engine; in double precision as it is."""
        return arithmetic_of(network, self.device, mixed_precision=self.dtype == torch.float32)

    def classifier_of(self, network: NetworkSettings, seed: int = 0) -> Classifier:
        """A freshly initialized classifier of this network, on the device.

        Raises:
            SettingsError, StorageError: as ``build_classifier``.
        """
        built = build_classifier(network, self.image_shape, self.classes, self.stats, seed)
        return built.to(device=self.device, dtype=self.dtype)

    def classifier(self, trial: Trial) -> Classifier:
        """A freshly initialized classifier of this trial, on the device.

        Raises:
            SettingsError, StorageError: as ``build_classifier``.
        """
        return self.classifier_of(trial.network, trial.seed)
