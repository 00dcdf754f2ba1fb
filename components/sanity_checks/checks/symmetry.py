"""W1: neurons that start equal stay equal."""

import torch
from torch import nn

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.foundation.schemas.checks import GateResult


def check_symmetry(network: nn.Module) -> GateResult:
    """Fail when all neurons of a hidden layer start with the same weights.

    Equal neurons compute the same value and get the same gradient, so they never part
    (lecture, slide "Weight initialization", option 1). The output layer may start equal: each
    of its neurons has its own label.

    Args:
        network: freshly initialized.
    """
    for name, layer in weight_layers(network)[:-1]:
        neurons = len(layer.weight)
        weights = torch.nan_to_num(layer.weight.detach()).flatten(1)  # NaN would differ from NaN
        distinct = len(torch.unique(weights, dim=0))
        if neurons > 1 and distinct == 1:
            layer_name = name.removeprefix("network.")
            return GateResult(
                name="neurons_differ",
                row="W1",
                title="neurons differ at the start",
                verdict="fail",
                measured=f"identical neurons: layer {layer_name!r} has {neurons} neurons, 1 distinct weight vector",
                expected=f"{neurons} distinct weight vectors",
                reason="identical neurons compute the same value, get the same gradient and learn the same thing",
                fix="start from random weights: set network.init=he (for ReLU) or xavier",
            )
    return GateResult(
        name="neurons_differ",
        row="W1",
        title="neurons differ at the start",
        verdict="pass",
        measured="no hidden layer of identical neurons",
        expected="neurons with distinct weights",
        reason="identical neurons learn the same thing",
    )
