"""Networks with dropout and other chance in them, without it."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.sanity_checks.without_chance import without_chance


class Noisy(nn.Module):
    """Functional dropout that never stops, a module's, and noise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        dropped = self.drop(functional.dropout(inputs, 0.5))
        return dropped + torch.randn_like(dropped) if self.training else dropped


def test_dropout_does_nothing_and_noise_is_the_same_each_time() -> None:
    network, inputs = Noisy().train(), torch.ones(50)
    without_chance(network, seed=3)
    first, again, copied = network(inputs), network(inputs), copy.deepcopy(network)(inputs)
    assert torch.equal(first, again)
    assert torch.equal(first, copied)
    noise = torch.randn(50, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, inputs + noise)
    assert torch.equal(network.eval()(inputs), inputs)


def test_the_chance_around_it_goes_on() -> None:
    network = Noisy()
    without_chance(network, seed=3)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    first = torch.rand(1)
    network(torch.ones(5))
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_a_network_that_raises_leaves_nothing_behind() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    without_chance(network, seed=0)
    with pytest.raises(RuntimeError):
        network(torch.ones(1, 3))
    assert functional.dropout(torch.ones(1000), 0.5).eq(0).any()
