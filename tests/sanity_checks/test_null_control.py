"""Answers against answers, and what the nearest images say."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.sanity_checks.nearest_neighbours import nearest_neighbours
from sanefit.components.sanity_checks.null_control import Answers, class_weights, is_better


def answers(right: torch.Tensor, log_probability: torch.Tensor | None = None) -> Answers:
    values = right.double()
    return Answers(values, torch.zeros_like(values) if log_probability is None else log_probability)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=100))
def test_each_class_weighs_the_same(labels: list[int]) -> None:
    found = torch.tensor(labels)
    weights = class_weights(found)
    assert torch.isclose(weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    of_classes = [weights[found == label].sum() for label in found.unique()]
    assert torch.allclose(torch.stack(of_classes), torch.full((len(of_classes),), 1 / len(of_classes)).double())


def test_two_that_guess_are_rarely_told_apart() -> None:
    random, labels, told = torch.Generator().manual_seed(0), torch.arange(400) % 4, 0
    for _ in range(500):
        one, other = (answers(torch.rand(400, generator=random) < 0.25) for _ in range(2))
        told += is_better(one, other, labels)
    assert told <= 3, "three standard errors, to one side: once in 740"


def test_a_little_knowledge_of_many_images_is_told() -> None:
    random, labels = torch.Generator().manual_seed(0), torch.arange(2000) % 4
    one, other = (answers(torch.rand(2000, generator=random) < share) for share in (0.35, 0.25))
    assert is_better(one, other, labels)
    assert not is_better(other, one, labels)


def test_probabilities_tell_where_only_the_largest_class_is_named() -> None:
    labels = (torch.arange(300) % 10 == 0).long()
    named = answers(labels == 0, torch.full((300,), -0.2).double())
    control = answers(labels == 0, torch.full((300,), -0.5).double() + 0.1 * torch.rand(300).double())
    assert is_better(named, control, labels)


def test_the_nearest_images_decide() -> None:
    features = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [5.0, 5.0], [5.1, 5.0], [5.0, 5.1], [0.05, 0.0]])
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 0])
    asked = torch.tensor([[0.0, 0.05], [5.0, 5.05]])
    assert nearest_neighbours(features, labels, asked).tolist() == [0, 1]
