"""What takes long says how far it has come."""

from collections.abc import Iterator

import torch
from said import Said
from torch import nn

from sanefit.components.sanity_checks.progress import told
from sanefit.components.sanity_checks.setup import Setup


def setup_with(said: Said, times: list[float]) -> Setup:
    clock: Iterator[float] = iter(times)
    pixels, labels = torch.zeros((2, 8, 8, 3), dtype=torch.uint8), torch.arange(2)
    return Setup(nn.Identity(), 2, pixels, labels, pixels, labels, say=said, clock=lambda: next(clock))


def test_a_line_every_five_seconds_with_what_is_left() -> None:
    said = Said()
    pieces = [lambda number=number: number for number in range(4)]
    assert list(told(setup_with(said, [0.0, 3.0, 6.0, 9.0, 30.0]), "things done", pieces)) == [0, 1, 2, 3]
    assert said == ["things done: 2 of 4, about 6 s left"]


def test_what_is_short_says_nothing() -> None:
    said = Said()
    assert list(told(setup_with(said, [0.0, 1.0, 2.0]), "things done", [lambda: 1, lambda: 2])) == [1, 2]
    assert said == []
