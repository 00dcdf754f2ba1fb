"""A small convnet answers in the place of a costly network."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sanefit.components.sanity_checks.checks import carry_over
from sanefit.components.sanity_checks.checks.carry_over import check_carry_over
from sanefit.components.sanity_checks.setup import Setup
from sanefit.components.sanity_checks.stand_in import stand_in

CLASSES = 3
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


class Slow(nn.Module):
    """Learns next to nothing in a few steps."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 12 * 12, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = 1e-4 * self.layer(pixels.float().flatten(1) / 64 - 2)
        return scores


def stripes(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Waves of a pitch for each class, anywhere in the picture: neighbors of a blurred thumbnail tell nothing."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (number,), generator=random)
    place = torch.arange(12).float()
    phase = 6.28 * torch.rand(number, 1, generator=random)
    wave = torch.sin((1.0 + 0.7 * labels[:, None]) * place + phase)
    pixels = 128 + 60 * wave[:, None, :, None] + 10 * torch.randn(number, 12, 12, 3, generator=random)
    return pixels.clamp(0, 255).to(torch.uint8), labels


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(carry_over, "CARRY_OVER", 1.0)
    return Setup(Slow(), CLASSES, *stripes(900, 0), *stripes(300, 1))


def test_a_costly_network_that_has_learned_nothing_yet_is_unknown(costly: Setup) -> None:
    found = check_carry_over(costly, 1e-3)
    assert found.verdict == "unknown", found
    assert "after 60 steps of 8 images" in found.measured


def test_permuted_labels_are_refused_all_the_same(costly: Setup) -> None:
    random = torch.Generator().manual_seed(0)
    train, validation = (
        labels[torch.randperm(len(labels), generator=random)]
        for labels in (costly.train_labels, costly.validation_labels)
    )
    found = check_carry_over(replace(costly, train_labels=train, validation_labels=validation), 1e-3)
    assert found.verdict == "fail"
    assert "null control" in found.fix
    assert "small convnet" in found.fix


def test_it_stands_in_for_small_images_alone(costly: Setup) -> None:
    other = stand_in(costly)
    assert other is not None
    scores = other.classifier(costly.train_pixels[:200])
    assert scores.shape == (200, CLASSES)
    again = stand_in(costly)
    assert again is not None
    assert again.classifier(costly.train_pixels[:200]).equal(scores)
    assert stand_in(replace(costly, train_pixels=torch.zeros((30, 65, 20, 3), dtype=torch.uint8))) is None
