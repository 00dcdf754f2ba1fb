"""Networks of which parts start at zero are sound, and are looked at behind that start."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sanefit.components.sanity_checks.checks.learning_rates import check_learning_rates
from sanefit.components.sanity_checks.checks.modes import check_modes
from sanefit.components.sanity_checks.checks.overfit import check_few_samples
from sanefit.components.sanity_checks.probe.probing import probed
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.zero_start import wake, zero_parts

CLASSES = 4


class Branches(nn.Module):
    """Residual branches that end in a norm of scale 0, and a head of zeros: at first no image differs from another."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8))
            for _ in range(2)
        )
        self.head = nn.Linear(8, CLASSES)
        for branch in self.branches:
            nn.init.zeros_(branch[3].weight)
        nn.init.zeros_(self.head.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.stem(pixels.float().permute(0, 3, 1, 2) / 64 - 2)
        for branch in self.branches:
            features = features + branch(features)
        scores: Tensor = self.head(features.mean((2, 3)))
        return scores


def stripes(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Of one mean: a linear function of it tells nothing."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % CLASSES
    place = torch.arange(12).float()
    pixels = torch.zeros(number, 12, 12, 3)
    for image, label in enumerate(labels.tolist()):
        wave = torch.sin((0.6 + 0.6 * label) * place + 6.28 * torch.rand(1, generator=random))
        pixels[image] = (128 + 60 * wave)[:, None, None]
    return (pixels + 10 * torch.randn(pixels.shape, generator=random)).clamp(0, 255).to(torch.uint8), labels


@pytest.fixture
def setup() -> Setup:
    torch.manual_seed(0)
    return Setup(Branches(), CLASSES, *stripes(200, 0), *stripes(80, 1), batch_size=50)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("check", [check_modes, check_few_samples, lambda setup: check_learning_rates(probed(setup))])
def test_a_start_at_zero_is_no_fault(setup: Setup, check: Callable[[Setup], object]) -> None:
    found = check(setup)
    assert found.verdict == "pass", found


def test_zero_parts_are_heads_and_scales_and_not_biases() -> None:
    network = Branches()
    assert [tuple(part.shape) for part in zero_parts(network)] == [(CLASSES, 8), (8,), (8,)]
    wake(network, 0)
    assert zero_parts(network) == []
    again = Branches()
    wake(again, 0)
    assert torch.equal(again.head.weight, network.head.weight)


def test_a_network_of_zeros_has_no_start() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    assert zero_parts(network) == []
