"""W1: neurons that start equal stay equal."""

import torch

from sanefit.components.foundation.classifiers.initialization import weight_layers
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup


def check_symmetry(setup: Setup) -> Measurement:
    """Fail when all neurons of a hidden layer start with the same weights.

    Equal neurons compute the same value and get the same gradient, so they never part
    (lecture, slide "Weight initialization", option 1). The output layer may start equal: each
    of its neurons has its own label.
    """
    for name, layer in weight_layers(setup.classifier)[:-1]:
        neurons = len(layer.weight)
        weights = torch.nan_to_num(layer.weight.detach()).flatten(1)  # NaN would differ from NaN
        distinct = len(torch.unique(weights, dim=0))
        if neurons > 1 and distinct == 1:
            layer_name = name.removeprefix("network.")
            return Measurement(
                verdict="fail",
                measured=f"identical neurons: layer {layer_name!r} has {neurons} neurons, 1 distinct weight vector",
                expected=f"{neurons} distinct weight vectors",
                reason="identical neurons compute the same value, get the same gradient and learn the same thing",
                fix="start from random weights: set network.init=he (for ReLU) or xavier",
            )
    return Measurement(
        verdict="pass",
        measured="no hidden layer of identical neurons",
        expected="neurons with distinct weights",
    )
