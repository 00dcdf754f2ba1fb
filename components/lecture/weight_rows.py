"""W1 to W5, B1 and B3: initial weights, and batch norm. They need no images."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanefit.components.foundation.classifiers.activations import activation
from sanefit.components.foundation.diagnosis.layer_signals import Signal, measure_signals
from sanefit.components.foundation.schemas.network_kind import Activation
from sanefit.components.foundation.training.loop.gradient_step import gradient_step
from sanefit.components.lecture.comparison import Comparison, same_numbers

LAYERS, WIDTH, INPUTS = 10, 500, 1000  # of the slides' network; as many inputs as in its source (cs231n)
RELATIVE = 0.05
NETWORKS = 16
SMALL = ["0.213", "0.0476", "0.0106", "0.00238", "0.00053", "0.00012", "2.7e-5", "6e-6", "1e-6", "0"]
XAVIER = ["0.628", "0.486", "0.408", "0.357", "0.321", "0.292", "0.273", "0.255", "0.239", "0.228"]


def zero_weights() -> Iterator[Comparison]:
    """W1: a network of zeros, trained: how many different neurons it has."""
    network = nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    random = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(200, 64, generator=random), torch.randint(0, 10, (200,), generator=random)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(100):
        gradient_step(optimizer, functional.cross_entropy(network(inputs), labels))
    distinct = len(torch.unique(network.get_parameter("0.weight").detach(), dim=0))
    yield Comparison(
        "W1",
        "all-zero weights, after 100 steps: different neurons of 50",
        "1 (every neuron learns the same)",
        str(distinct),
        "1",
        distinct == 1,
    )


def small_weights() -> Iterator[Comparison]:
    """W2: 10 layers of 500, tanh, weights 0.01 N(0, 1): activations collapse, and so do gradients."""
    signals = deep_signals("tanh", 0.01)
    stds = [signal.std for signal in signals]
    title = "small Gaussian weights (0.01), tanh: std by layer"
    yield same_numbers("W2", title, SMALL, stds, relative=RELATIVE, smallest=1e-5)
    shrink = signals[0].gradient_std / signals[-1].gradient_std
    yield Comparison(
        "W2",
        "the gradient that comes back to the first layer, as a share of the last layer's",
        "very small",
        f"{shrink:.1e}",
        "below 1e-4",
        shrink < 1e-4,
    )


def big_weights() -> Iterator[Comparison]:
    """W3: weights 1.0 N(0, 1): tanh saturates."""
    signals = deep_signals("tanh", 1.0)
    yield same_numbers(
        "W3",
        "big Gaussian weights (1.0), tanh: std by layer",
        ["0.98"] * LAYERS,
        [signal.std for signal in signals],
        relative=0.01,
    )
    saturated = min(signal.saturated or 0.0 for signal in signals)
    yield Comparison(
        "W3",
        "share of neurons at -1 or +1, in the layer with the fewest",
        "almost all",
        f"{saturated:.2f}",
        "above 0.9",
        saturated > 0.9,
    )


def xavier_weights() -> Iterator[Comparison]:
    """W4: Var(w) = 1/n with tanh: activations stay alive."""
    stds = [signal.std for signal in deep_signals("tanh", (1 / WIDTH) ** 0.5)]
    yield same_numbers("W4", "Xavier weights, tanh: std by layer", XAVIER, stds, relative=RELATIVE)


def he_weights() -> Iterator[Comparison]:
    """W5: Xavier collapses under ReLU; He does not. One network's last layers stray by a fifth: the mean of 16."""
    xavier, he = (_mean_stds("relu", (factor / WIDTH) ** 0.5) for factor in (1, 2))
    title = f"Xavier weights, ReLU: std of layers 1 and 10 (ours: mean of {NETWORKS} networks)"
    yield same_numbers("W5", title, ["0.582", "0.026"], [xavier[0], xavier[-1]], relative=RELATIVE)
    yield same_numbers(
        "W5",
        f"He weights, ReLU: std by layer (ours: mean of {NETWORKS} networks)",
        ["0.82"] * LAYERS,
        he,
        relative=RELATIVE,
    )


def _mean_stds(name: Activation, std: float) -> list[float]:
    stds = [[signal.std for signal in deep_signals(name, std, seed)] for seed in range(NETWORKS)]
    return [sum(layer) / NETWORKS for layer in zip(*stds, strict=True)]


def batch_norm() -> Iterator[Comparison]:
    """B1 and B3: batch norm can learn the identity, and ties an output to its batch in training alone."""
    random = torch.Generator().manual_seed(0)
    values = 3 + 2 * torch.randn(256, 20, generator=random)
    norm = nn.BatchNorm1d(20, eps=1e-12)
    with torch.no_grad():
        norm.weight.copy_(values.var(0, correction=0).sqrt())
        norm.bias.copy_(values.mean(0))
        off = (norm(values) - values).abs().max().item()
    yield Comparison(
        "B1",
        "batch norm with gamma = sqrt(Var x), beta = E x: largest change of a value",
        "0 (the identity)",
        f"{off:.1e}",
        "below 1e-4",
        off < 1e-4,
    )
    norm = nn.BatchNorm1d(20)
    in_training = _moves(norm.train(), values)
    in_evaluation = _moves(norm.eval(), values)
    yield Comparison(
        "B3",
        "one input in two batches: change of its output in training, in evaluation",
        "not the same; the same",
        f"{in_training:.2g}; {in_evaluation:.2g}",
        "above 0; 0",
        in_training > 0 and in_evaluation == 0,
    )


def deep_signals(name: Activation, std: float, seed: int = 0) -> list[Signal]:
    """The signals of 10 layers of 500 without biases, for 1,000 inputs from N(0, 1)."""
    random = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for _ in range(LAYERS):
        linear = nn.Linear(WIDTH, WIDTH, bias=False)
        nn.init.normal_(linear.weight, std=std, generator=random)
        layers += [linear, activation(name)]
    inputs = torch.randn(INPUTS, WIDTH, generator=random)
    weights = torch.randn(WIDTH, generator=random)
    return measure_signals(nn.Sequential(*layers), inputs, lambda outputs: (outputs @ weights).mean())


@torch.no_grad()
def _moves(norm: nn.Module, values: Tensor) -> float:
    one, other = norm(values[:64])[0], norm(torch.cat([values[:1], values[64:127]]))[0]
    moved: float = (one - other).abs().max().item()
    return moved
