"""What ends in a squashing function is refused, and named; what ends in raw scores is not, however they came about."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.sanity_checks.checks.raw_scores import check_raw_scores
from sanefit.components.sanity_checks.setup import Setup

CLASSES, SIDE, WIDTH = 4, 6, 16
Head = Callable[[Tensor, Tensor], Tensor]


class Net(nn.Module):
    """Features, and what a head makes of them with a matrix of class vectors: (classes, width)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(SIDE * SIDE, WIDTH), head
        self.vectors = nn.Parameter(torch.randn(CLASSES, WIDTH))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(functional.relu(self.layer(pixels.flatten(1).float() / 255)), self.vectors)


def measured(head: Head) -> tuple[str, str, str]:
    torch.manual_seed(0)
    pixels, labels = torch.randint(0, 256, (64, SIDE, SIDE, 1), dtype=torch.uint8), torch.arange(64) % CLASSES
    found = check_raw_scores(Setup(Net(head), CLASSES, pixels, labels, pixels, labels))
    return found.verdict, found.measured, found.fix


def unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1)


def unit_by_hand(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


RAW: dict[str, Head] = {
    "a linear layer": functional.linear,
    "a product": lambda features, vectors: features @ vectors.t(),
    "cosines times a number": lambda features, vectors: 16 * (unit(features) @ unit(vectors).t()),
    "class vectors of length 1": lambda features, vectors: functional.linear(features, unit(vectors)),
    "features of length 1": lambda features, vectors: functional.linear(unit(features), 10 * vectors),
    "cosines and a bias": lambda features, vectors: functional.linear(unit(features), unit(vectors), vectors[:, 0]),
    "log-probabilities": lambda features, vectors: functional.linear(features, vectors).log_softmax(dim=1),
}
SQUASHED: dict[str, tuple[Head, str]] = {
    "softmax": (lambda features, vectors: (features @ vectors.t()).softmax(dim=1), "a softmax stands before"),
    "tanh": (lambda features, vectors: (features @ vectors.t()).tanh(), "a tanh stands before"),
    "relu": (lambda features, vectors: functional.linear(features, vectors).relu(), "a relu stands before"),
    "cosines": (lambda features, vectors: functional.linear(unit(features), unit(vectors)), "they are cosines"),
    "cosines as a product": (lambda features, vectors: unit(features) @ unit(vectors).t(), "they are cosines"),
    "cosines of features some of which are nothing": (
        lambda features, vectors: functional.linear(
            unit(features) * (torch.arange(len(features)) % 3 > 0)[:, None], unit(vectors)
        ),
        "they are cosines",
    ),
    "cosines by hand": (
        lambda features, vectors: torch.einsum("ij,kj->ik", unit_by_hand(features), unit_by_hand(vectors)),
        "they are cosines",
    ),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_scores_pass(name: str) -> None:
    assert measured(RAW[name])[0] == "pass"


@pytest.mark.parametrize("name", SQUASHED)
def test_squashed_scores_are_refused_and_named(name: str) -> None:
    head, words = SQUASHED[name]
    verdict, seen, fix = measured(head)
    assert verdict == "fail"
    assert words in seen
    assert fix
