"""W1: neurons that start equal stay equal."""

import torch
from torch import nn

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.short_training import take_steps

IMAGES, STEPS, RATE = 64, 4, 1e-2


def check_symmetry(setup: Setup) -> Measurement:
    """Fail when all neurons of a hidden layer start with the same weights; zeros may, where some steps part them.

    Equal neurons compute the same value and get the same gradient, so they never part
    (lecture, slide "Weight initialization", option 1). The output layer may start equal: each
    of its neurons has its own label; and so may a branch that starts at zero before different weights.
    """
    identical = _identical(setup.classifier)
    if any(not layer.weight.any() for layer in identical.values()):
        stayed = _identical(take_steps(setup.copy(dropout=False), *setup.images(IMAGES), RATE, STEPS))
        identical = {name: layer for name, layer in identical.items() if layer.weight.any() or name in stayed}
    if identical:
        name, layer = next(iter(identical.items()))
        layer_name, neurons = name.removeprefix("network."), len(layer.weight)
        return Measurement(
            verdict="fail",
            measured=f"identical neurons: layer {layer_name!r} has {neurons} neurons, 1 distinct weight vector",
            expected=f"{neurons} distinct weight vectors",
            reason="identical neurons compute the same value, get the same gradient and learn the same thing",
            fix="start from random weights: set network.init=he (for ReLU) or xavier",
        )
    return Measurement(
        verdict="pass",
        measured="0 hidden layers of identical neurons",
        expected="0: in every hidden layer more than 1 distinct weight vector",
    )


def _identical(classifier: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """The hidden layers whose neurons all have the same weights, by name."""
    return {
        name: layer
        for name, layer in weight_layers(classifier)[:-1]
        # NaN would differ from NaN.
        if len(layer.weight) > 1 and len(torch.unique(torch.nan_to_num(layer.weight.detach()).flatten(1), dim=0)) == 1
    }
