"""Operations against torch's own count, and what is made of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sanefit.components.sanity_checks.cost import operations_for_an_image
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
    assert operations_for_an_image(setup) == pytest.approx(3 * counter.get_total_flops())


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
