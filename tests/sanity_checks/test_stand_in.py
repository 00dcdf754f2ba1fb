"""A small convnet answers in the place of a costly network."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sanefit.components.sanity_checks import stand_in as small_network
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


def test_the_labels_of_a_costly_network_are_told_by_a_small_one(costly: Setup) -> None:
    found = check_carry_over(costly, 1e-3)
    assert found.verdict == "pass", found
    assert "after 60 steps of 8 images" in found.measured
    assert "a small convnet in its place: 0.9" in found.measured or "in its place: 1.0" in found.measured


def permuted(setup: Setup) -> Setup:
    random = torch.Generator().manual_seed(0)
    train, validation = (
        labels[torch.randperm(len(labels), generator=random)]
        for labels in (setup.train_labels, setup.validation_labels)
    )
    return replace(setup, train_labels=train, validation_labels=validation)


def test_permuted_labels_are_refused_all_the_same(costly: Setup) -> None:
    found = check_carry_over(permuted(costly), 1e-3)
    assert found.verdict == "fail"
    assert "null control" in found.fix


def test_what_is_lost_in_small_pictures_is_unknown(costly: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_network, "LARGEST_SIDE", 8)
    monkeypatch.setattr(carry_over, "stand_in", lambda setup: stand_in(permuted(setup)))
    found = check_carry_over(costly, 1e-3)
    assert found.verdict == "unknown"


def test_it_is_the_same_each_time_and_its_pictures_are_small(costly: Setup) -> None:
    other, again = stand_in(costly), stand_in(costly)
    scores = other.classifier(other.train_pixels[:200])
    assert scores.shape == (200, CLASSES)
    assert again.classifier(again.train_pixels[:200]).equal(scores)
    assert {tuple(image.shape) for image in other.train_pixels} == {(12, 12, 3)}
    chessboard = 255 * (torch.arange(130)[:, None] + torch.arange(40)).remainder(2)
    large = chessboard.to(torch.uint8)[None, :, :, None].expand(900, 130, 40, 3)
    other = stand_in(replace(costly, train_pixels=large, validation_pixels=large))
    assert other.train_pixels.shape == (900, 64, 20, 3)
    assert set(other.train_pixels.unique().tolist()) <= set(range(100, 156)), "means over areas"
