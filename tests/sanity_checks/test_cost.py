"""Operations against torch's own count, and what is made of them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sanefit.components.sanity_checks.cost import FEWEST, FOR_ONE_THREAD, cost_of, fitted
from sanefit.components.sanity_checks.probe.learning_rate_probe import RATES, STEPS, plan_probe
from sanefit.components.sanity_checks.setup import Setup


class FromPixels(nn.Module):
    """A network on pixels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network(pixels.float().permute(0, 3, 1, 2))
        return scores


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(192, 30), nn.ReLU(), nn.Linear(30, 4)),
        nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, groups=4), nn.Flatten()),
    ],
    ids=["dense", "convolutional"],
)
def test_operations_are_those_that_torch_counts(network: nn.Module) -> None:
    pixels, labels = torch.zeros((4, 8, 8, 3), dtype=torch.uint8), torch.arange(4)
    classifier = FromPixels(network)
    with FlopCounterMode(display=False) as counter:
        classifier(pixels[:1])
    setup = Setup(classifier, 4, pixels, labels, pixels, labels)
    assert cost_of(setup).operations == pytest.approx(3 * counter.get_total_flops())


@given(batch_size=st.integers(4, 1024), each=st.floats(1, 1e11), budget=st.floats(1e9, 1e13))
def test_a_probe_is_whole_where_it_can_be_and_small_where_it_must(batch_size: int, each: float, budget: float) -> None:
    plan = plan_probe(batch_size, each, budget)
    assert 1 <= plan.batch_size <= batch_size
    assert set(plan.rates) <= set(RATES)
    assert len(plan.rates) >= 5
    whole = len(RATES) * STEPS * batch_size * each
    assert (plan.rates == RATES and plan.steps == STEPS and plan.batch_size == batch_size) == (whole <= budget)
    if whole > budget:
        assert len(plan.rates) * plan.steps * plan.batch_size * each < whole


def setup_of_width(width: int, batch_size: int) -> Setup:
    pixels, labels = torch.zeros((4, 8, 8, 3), dtype=torch.uint8), torch.arange(4)
    network = FromPixels(nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.ReLU(), nn.Linear(width, 4)))
    return Setup(network, 4, pixels, labels, pixels, labels, batch_size=batch_size)


def test_a_small_network_is_computed_by_one_thread_and_a_large_one_by_all() -> None:
    small, large = setup_of_width(16, 64), setup_of_width(65536, 512)
    assert cost_of(small).operations * 64 < FOR_ONE_THREAD < cost_of(large).operations * 512
    assert fitted(small, 8, 2**40) == (replace(small, workers=8), 1)
    assert fitted(large, 8, 2**40) == (replace(large, workers=8), 8)


def test_as_many_trainings_side_by_side_as_memory_holds() -> None:
    setup = setup_of_width(1000, 100)
    cost = cost_of(setup)
    of_one = cost.bytes * 100 + cost.weights
    assert cost.bytes >= 4 * 2 * (1000 + 1000 + 4)
    assert fitted(setup, 8, int(2.1 * 3 * of_one))[0] == replace(setup, workers=3)
    assert fitted(setup, 8, 0)[0] == replace(setup, workers=1, batch_size=FEWEST)
    half = fitted(setup, 8, int(2 * (cost.weights + 50.5 * cost.bytes)))[0]
    assert (half.workers, half.batch_size) == (1, 50)


def test_a_network_that_cannot_be_run_is_left_to_the_checks() -> None:
    setup = setup_of_width(16, 64)
    broken = Setup(nn.Linear(3, 3), 4, setup.train_pixels, setup.train_labels, setup.train_pixels, setup.train_labels)
    assert fitted(broken, 8, 2**40) == (broken, 1)
