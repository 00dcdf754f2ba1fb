"""D1: what enters the first layer is around zero."""

import torch
from torch import Tensor

from sanefit.components.foundation.diagnosis.network_paths import is_layer
from sanefit.components.foundation.diagnosis.operations import Operation, trace
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

IMAGES = 500
OFF_CENTER = 0.3  # standard deviations
OFF_CENTER_OF_OTHERS = 5.0  # where images are mostly white, and normalized as other images are
RECURRENT = {"gru", "lstm", "rnn_tanh", "rnn_relu"}
SMALLEST_STD, LARGEST_STD = 0.05, 300.0


def check_inputs(setup: Setup) -> Measurement | None:
    """The first linear or convolutional layer gets values of mean about 0 and a sensible scale; None without one.

    Measured where they enter that layer, so that what the network itself does to its input counts.
    """
    pixels, _ = setup.images(IMAGES)
    found = _first_layer(setup, pixels)
    if found is None:
        return None
    layer, inputs = found
    channels = inputs.transpose(0, 1).flatten(1) if inputs.ndim == 4 else inputs.reshape(1, -1)
    mean, std = channels.mean(1).abs().max().item(), channels.std(1).mean().item()
    off = mean / std if std > 0 else float("inf")
    bound = OFF_CENTER_OF_OTHERS if setup.has_own_normalization else OFF_CENTER
    centered, scaled = off <= bound, SMALLEST_STD <= std <= LARGEST_STD
    fix = "" if centered and scaled else "normalize the pixels, once: stats.normalization=channel_mean_std"
    if fix and layer.module and not layer.module.startswith("normalization"):
        fix += ", and leave them alone in forward(): they come in normalized"
    if fix and std < SMALLEST_STD:
        fix += "; images that hardly differ, normalizing twice and dividing by 255 twice give so small a spread"
    return Measurement(
        verdict="pass" if centered and scaled else "warn",
        measured=f"largest channel mean {mean:.4g} away from 0, std {std:.4g}: {off:.2f} standard deviations, at the "
        f"input of {layer.place}",
        expected=f"within {bound:g} standard deviations of 0, std from {SMALLEST_STD} to {LARGEST_STD:g}",
        fix=fix,
    )


class _SeenError(Exception):
    """Ends the forward pass."""


def _first_layer(setup: Setup, pixels: Tensor) -> tuple[Operation, Tensor] | None:
    """With what it takes, float64."""
    found: list[tuple[Operation, Tensor]] = []

    def look(operation: Operation) -> None:
        if (is_layer(operation) or operation.name in RECURRENT) and operation.given:
            found.append((operation, operation.argument(0, "input").detach().double()))
            raise _SeenError

    try:
        with torch.no_grad():
            trace(setup.copy().eval(), pixels, look)
    except _SeenError:
        return found[0]
    return None
