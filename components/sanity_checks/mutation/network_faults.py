"""Faults in what the network does."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.foundation.diagnosis.activation_kinds import BOUNDS, RECTIFIERS, UNBOUNDED, is_activation
from sanefit.components.foundation.diagnosis.operations import trace
from sanefit.components.sanity_checks.mutation.changed_network import (
    WithoutOperations,
    before_the_output_layer,
    with_head,
    with_layers,
)
from sanefit.components.sanity_checks.mutation.planted_fault import PlantedFault
from sanefit.components.sanity_checks.setup import Setup

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
FORGOTTEN = frozenset(RECTIFIERS | UNBOUNDED | BOUNDS.keys())
TRACED = 2  # images


class _FewerScores(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return scores[:, :-1]


class _MoreScores(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return torch.cat([scores, scores.repeat(1, 9)], 1)


class _Tuple(nn.Module):
    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        return scores, scores


class _MinusTheBatch(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return scores - scores.mean(0)


class _NegativeInEvaluation(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return scores if self.training else -scores


class _StaysInEvaluation(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.train(False)

    def train(self, mode: bool = True) -> "_StaysInEvaluation":
        del mode
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.inner(pixels)
        return scores


def activations_forgotten(setup: Setup) -> Setup | None:
    """All of them, modules and functions; None where there are none, or something else bends the function."""
    classifier = copy.deepcopy(setup.classifier).eval()
    _, passed = trace(classifier, setup.images(TRACED)[0])
    if not any(is_activation(one) for one in passed.operations) or any(
        one.name in BENDING for one in passed.operations
    ):
        return None
    return replace(setup, classifier=WithoutOperations(copy.deepcopy(setup.classifier), FORGOTTEN))


def batch_norm_in_evaluation(setup: Setup) -> Setup | None:
    """Whatever mode was asked for."""
    if not any(isinstance(module, BATCH_NORMS) for module in setup.classifier.modules()):
        return None
    return replace(setup, classifier=_StaysInEvaluation(copy.deepcopy(setup.classifier)))


def _momentum_zero(module: nn.Module) -> bool:
    if isinstance(module, BATCH_NORMS):
        module.momentum = 0.0
    return isinstance(module, BATCH_NORMS)


def _forget_averages(module: nn.Module) -> bool:
    if isinstance(module, BATCH_NORMS):
        module.track_running_stats = False
        module.running_mean = module.running_var = None
    return isinstance(module, BATCH_NORMS)


def first_weights_not_registered(setup: Setup) -> Setup | None:
    """A plain tensor stands where the first layer's parameter was, as those of layers in a plain list do."""
    classifier = copy.deepcopy(setup.classifier)
    layers = weight_layers(classifier)
    if not layers:
        return None
    layer = layers[0][1]
    weight = layer.weight.detach().clone().requires_grad_()
    del layer.weight
    layer.weight = weight
    return replace(setup, classifier=classifier)


def first_layer_frozen(setup: Setup) -> Setup | None:
    """None where it is the only one."""
    classifier = copy.deepcopy(setup.classifier)
    layers = weight_layers(classifier)
    if len(layers) < 2:
        return None
    layers[0][1].requires_grad_(False)
    return replace(setup, classifier=classifier)


BENDING = {"max_pool2d", "max_pool1d", "softmax", "layer_norm", "group_norm", "instance_norm", "norm", "amax", "max"}
NETWORK_FAULTS = (
    PlantedFault("softmax before the cross-entropy", ("softmax",), lambda setup: with_head(setup, nn.Softmax(1))),
    PlantedFault("sigmoid before the cross-entropy", ("sigmoid",), lambda setup: with_head(setup, nn.Sigmoid())),
    PlantedFault("ReLU after the output layer", ("after the output layer",), lambda setup: with_head(setup, nn.ReLU())),
    PlantedFault(
        "tanh after the output layer",
        ("after the output layer", "stands before the cross-entropy"),
        lambda setup: with_head(setup, nn.Tanh()),
    ),
    PlantedFault("one class too few", ("wrong number of classes",), lambda setup: with_head(setup, _FewerScores())),
    PlantedFault(
        "outputs of another data set", ("wrong number of classes",), lambda setup: with_head(setup, _MoreScores())
    ),
    PlantedFault("scores in a tuple", ("forward() returns",), lambda setup: with_head(setup, _Tuple())),
    PlantedFault(
        "scores less their mean over the batch", ("images mix",), lambda setup: with_head(setup, _MinusTheBatch())
    ),
    PlantedFault(
        "scores negative in evaluation",
        ("training and evaluation scores differ",),
        lambda setup: with_head(setup, _NegativeInEvaluation()),
    ),
    PlantedFault("activations forgotten", ("missing activation",), activations_forgotten),
    PlantedFault("batch norm stays in evaluation", ("stays in evaluation mode",), batch_norm_in_evaluation),
    PlantedFault("batch norm with momentum 0", ("momentum 0",), lambda setup: with_layers(setup, _momentum_zero)),
    PlantedFault("batch norm without averages", ("images mix",), lambda setup: with_layers(setup, _forget_averages)),
    PlantedFault(
        "dropout of 0.99",
        ("of the values",),
        lambda setup: before_the_output_layer(
            setup, lambda values, layer: functional.dropout(values, 0.99, layer.training)
        ),
    ),
    PlantedFault(
        "dropout in evaluation",
        ("evaluation is random",),
        lambda setup: before_the_output_layer(setup, lambda values, _: functional.dropout(values, 0.5, training=True)),
    ),
    PlantedFault(
        "features detached",
        ("detach",),
        lambda setup: before_the_output_layer(setup, lambda values, _: values.detach()),
    ),
    PlantedFault("first weights not registered", ("not registered",), first_weights_not_registered),
    PlantedFault("first layer frozen", ("frozen",), first_layer_frozen),
)
