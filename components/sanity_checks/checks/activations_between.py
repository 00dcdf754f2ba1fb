"""A1: something that is not linear stands between the layers."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sanefit.components.foundation.schemas.checks import Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.setup import Setup

PAIRS = 64
NOISE_STD = 3.0
AFFINE_BELOW = 1e-4  # of the spread of the scores; float32 leaves 1e-6


def check_activations(setup: Setup) -> Measurement:
    """The network is not one affine function, and no layer feeds another of its kind linearly.

    Affine: the scores of the middle of two images are the middle of their scores. Between two layers: the second's
    input is, neuron by neuron, proportional to the first's output; that is noise here, wide enough for any activation
    to bend it, for a signal that has all but vanished stays where a sigmoid is straight. 1x1 convolutions may be fed
    so (MobileNetV2).
    """
    classifier = setup.copy().eval()
    pixels, _ = setup.images(2 * PAIRS)
    layers = [module for module in classifier.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    bend = _bend(classifier, pixels)
    links = _linear_links(classifier, pixels, setup.seed)
    fix = "put an activation (network.activation=relu) after every layer but the last"
    verdict: Verdict = "pass"
    measured = f"the scores bend by {bend:.2g} of their spread between two images"
    if len(layers) > 1 and bend < AFFINE_BELOW:
        verdict = "fail"
        measured = f"missing activation: {len(layers)} layers make one affine function, bend {bend:.1g}"
    elif links:
        verdict, measured = "warn", f"missing activation: {links[0]} with nothing but a linear function between"
    return Measurement(
        verdict=verdict,
        measured=measured,
        expected=f"a bend above {AFFINE_BELOW:g}, and an activation between any two layers",
        fix="" if verdict == "pass" else fix,
    )


@torch.no_grad()
def _bend(classifier: nn.Module, pixels: Tensor) -> float:
    even = pixels & 0xFE  # so that the middle of two is a whole number
    half = len(even) // 2
    one, other = even[:half], even[half : 2 * half]
    middle = (one // 2 + other // 2).to(torch.uint8)
    scores = [classifier(images).double() for images in (one, other, middle)]
    spread = (scores[0] - scores[1]).abs().mean().item()
    return (scores[2] - (scores[0] + scores[1]) / 2).abs().mean().item() / spread if spread else 1.0


def _linear_links(classifier: nn.Module, pixels: Tensor, seed: int) -> list[str]:
    seen: list[tuple[str, nn.Module, Tensor, Tensor]] = []
    generator = torch.Generator().manual_seed(seed)

    def replace(name: str, module: nn.Module, given: Tensor, output: Tensor) -> Tensor:
        noise = (NOISE_STD * torch.randn(output.shape, generator=generator)).to(output)
        seen.append((name.removeprefix("network."), module, given.detach(), noise))
        return noise

    def watch(name: str, module: nn.Module) -> None:
        module.register_forward_hook(lambda m, given, output: replace(name, m, given[0], output))

    for name, module in classifier.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            watch(name, module)
    with torch.no_grad():
        classifier(pixels)
    return [
        f"{name!r} feeds {following!r}"
        for (name, first, _, output), (following, second, given, _) in pairwise(seen)
        if type(first) is type(second) and not _is_pointwise(second) and _is_proportional(output, given)
    ]


def _is_pointwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)


def _is_proportional(output: Tensor, given: Tensor) -> bool:
    if output.shape != given.shape:
        return False
    a, b = (values.transpose(0, 1).flatten(1).double() for values in (output, given))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    lengths = a.norm(dim=1) * b.norm(dim=1)
    alive = lengths > 0
    if not alive.any():
        return False
    return bool(((a * b).sum(1)[alive].abs() / lengths[alive] > 1 - AFFINE_BELOW).all())
