"""D1: what enters the first layer is around zero."""

import torch
from torch import Tensor, nn

from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

IMAGES = 500
OFF_CENTER = 0.3  # standard deviations
SMALLEST_STD, LARGEST_STD = 0.05, 300.0


def check_inputs(setup: Setup) -> Measurement:
    """The first linear or convolutional layer gets values of mean about 0 and a sensible scale.

    Measured where they enter that layer, so that what the network itself does to its input counts.
    """
    pixels, _ = setup.images(IMAGES)
    inputs = _first_inputs(setup.copy().eval(), pixels)
    channels = inputs.transpose(0, 1).flatten(1) if inputs.ndim == 4 else inputs.reshape(1, -1)
    mean, std = channels.mean(1).abs().max().item(), channels.std(1).mean().item()
    off = mean / std if std > 0 else float("inf")
    centered, scaled = off <= OFF_CENTER, SMALLEST_STD <= std <= LARGEST_STD
    fix = "" if centered and scaled else "normalize the pixels, once: stats.normalization=channel_mean_std"
    if fix and std < SMALLEST_STD:
        fix += "; so small a spread comes from normalizing twice, or from dividing by 255 twice"
    return Measurement(
        verdict="pass" if centered and scaled else "warn",
        measured=f"mean {mean:.4g} off 0, std {std:.4g}: {off:.2f} standard deviations",
        expected=f"within {OFF_CENTER} standard deviations of 0, std from {SMALLEST_STD} to {LARGEST_STD:g}",
        fix=fix,
    )


class _SeenError(Exception):
    """Ends the forward pass."""


def _first_inputs(classifier: nn.Module, pixels: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def keep(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0].detach().double())
        raise _SeenError

    for module in classifier.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_pre_hook(keep)
    try:
        with torch.no_grad():
            classifier(pixels)
    except _SeenError:
        return seen[0]
    raise AssertionError("a classifier has a linear or convolutional layer")
