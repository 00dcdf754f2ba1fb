"""Faults in the initial weights, and in what normalizes the pixels."""

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.foundation.classifiers.input_normalization import InputNormalization
from sanefit.components.foundation.diagnosis.activation_kinds import is_rectifier
from sanefit.components.foundation.diagnosis.operations import trace
from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.setup import Setup

NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d),
    nn.LocalResponseNorm,
)
TINY, HUGE = 1e-3, 100.0
NEGATIVE = -10.0
TRACED = 2  # images


class _Pixels(nn.Module):
    """Channels first, levels as they are."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float().permute(0, 3, 1, 2)


class _Divided(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values / 255


class _Ignored(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values * 0


class _NormalizedAgain(nn.Module):
    """Takes normalized values for pixels."""

    def __init__(self, before: InputNormalization) -> None:
        super().__init__()
        self.before = before

    def forward(self, values: Tensor) -> Tensor:
        again: Tensor = (values - self.before.shift) / self.before.scale
        return again


def _normalized(setup: Setup, change: Callable[[nn.Module], nn.Module | None]) -> Setup | None:
    """With another first layer; None where the classifier is not one of sanefit's, which have one."""
    classifier = copy.deepcopy(setup.classifier)
    normalization = change(classifier.normalization) if isinstance(classifier, Classifier) else None
    if normalization is None:
        return None
    assert isinstance(classifier, Classifier)
    classifier.normalization = normalization
    return replace(setup, classifier=classifier)


def not_normalized(setup: Setup) -> Setup | None:
    """Levels from 0 to 255."""
    return _normalized(setup, lambda _: _Pixels())


def normalized_twice(setup: Setup) -> Setup | None:
    """By the same statistics."""
    return _normalized(
        setup,
        lambda before: (
            nn.Sequential(before, _NormalizedAgain(before)) if isinstance(before, InputNormalization) else None
        ),
    )


def divided_by_255_too(setup: Setup) -> Setup | None:
    """After it was normalized."""
    return _normalized(setup, lambda before: nn.Sequential(before, _Divided()))


def pixels_ignored(setup: Setup) -> Setup | None:
    """The network gets zeros."""
    return _normalized(setup, lambda before: nn.Sequential(before, _Ignored()))


@torch.no_grad()
def _weights(setup: Setup, factor: float) -> Setup:
    """All matrices and filters, whoever made them."""
    classifier = copy.deepcopy(setup.classifier)
    for parameter in classifier.parameters():
        if parameter.ndim > 1:
            parameter.mul_(factor)
    return replace(setup, classifier=classifier)


def weights_zero(setup: Setup) -> Setup | None:
    """No fault where there is one layer: a softmax regression learns from there."""
    return _weights(setup, 0.0) if len(weight_layers(setup.classifier)) > 1 else None


def weights_tiny(setup: Setup) -> Setup | None:
    """A thousandth; no fault where norms scale up what comes out, or there is one layer."""
    layers = weight_layers(setup.classifier)
    if len(layers) < 2 or any(isinstance(module, NORMS) for module in setup.classifier.modules()):
        return None
    return _weights(setup, TINY)


def weights_huge(setup: Setup) -> Setup:
    """A hundred times as large."""
    return _weights(setup, HUGE)


@torch.no_grad()
def biases_negative(setup: Setup) -> Setup | None:
    """So much that ReLUs are 0; of the norms where there are some, else of all layers but the last; None without."""
    classifier = copy.deepcopy(setup.classifier)
    _, passed = trace(copy.deepcopy(classifier).eval(), setup.images(TRACED)[0])
    if not any(is_rectifier(one) for one in passed.operations):
        return None
    found: list[nn.Module] = [module for module in classifier.modules() if isinstance(module, NORMS)]
    layers = found or [layer for _, layer in weight_layers(classifier)[:-1]]
    biases = [bias for layer in layers if isinstance(bias := getattr(layer, "bias", None), Tensor)]
    for bias in biases:
        bias.fill_(NEGATIVE)
    return replace(setup, classifier=classifier) if biases else None


WEIGHT_FAULTS = (
    PlantedFault("pixels not normalized", ("normalize the pixels", "not finite"), not_normalized),
    PlantedFault("pixels normalized twice", ("normalizing twice", "leave them alone in forward()"), normalized_twice),
    PlantedFault("pixels divided by 255 too", ("dividing by 255 twice",), divided_by_255_too),
    PlantedFault("pixels ignored", ("hardly differ", "input is ignored"), pixels_ignored),
    PlantedFault("all weights 0", ("identical neurons",), weights_zero),
    PlantedFault("weights a thousandth", ("collapsing", "vanishing"), weights_tiny),
    PlantedFault(
        "weights a hundredfold", ("lower the initial weights", "saturating", "exploding", "not finite"), weights_huge
    ),
    PlantedFault("ReLUs dead from their biases", ("dying", "collapsing", "saturating"), biases_negative),
)
