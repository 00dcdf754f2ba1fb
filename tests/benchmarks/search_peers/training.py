"""What all peers train and how: the network, the optimizer, the loop over batches."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_peers.protocol import NetName, Search, Trial
from search_peers.recipes import CHANNELS, CLASSES, HIDDEN, RECIPES, SIDE

Batches = Iterable[tuple[Tensor, Tensor]]  # normalized float (images, 3, 32, 32), int64 labels


def set_threads(search: Search) -> None:
    if search.threads:
        torch.set_num_threads(search.threads)


def train_trial(search: Search, trial: Trial, training: Batches, validation: Batches) -> Iterator[float]:
    """Yield the validation accuracy after each epoch."""
    torch.manual_seed(trial.number)
    network = new_network(search.net)
    optimizer = new_optimizer(search.net, network, trial)
    for _ in range(search.epochs):
        network.train()
        for images, labels in training:
            optimizer.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
        yield accuracy(network, validation)


def new_network(net: NetName) -> nn.Module:
    """The initial weights come from torch's own generator."""
    return lecture_net() if net == "lecture" else convnet()


def new_optimizer(net: NetName, network: nn.Module, trial: Trial) -> torch.optim.Optimizer:
    """Plain SGD; the penalty covers weights, not biases or norms."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in network.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": trial.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=trial.learning_rate, momentum=RECIPES[net].momentum)


@torch.no_grad()
def accuracy(network: nn.Module, batches: Batches) -> float:
    network.eval()
    right = [(network(images).argmax(1) == labels).float() for images, labels in batches]
    return torch.cat(right).mean().item()


def lecture_net() -> nn.Module:
    """3072-50-10 with ReLU, weights of 1e-4 N(0, 1)."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    for layer in (network[1], network[3]):
        nn.init.normal_(layer.weight, std=1e-4)
        nn.init.zeros_(layer.bias)
    return network


def convnet() -> nn.Module:
    """Blocks of convolution, batch norm, ReLU and pooling, the order of most tutorials; He's initialization."""
    network, previous = nn.Sequential(), 3
    for channels in CHANNELS:
        convolution = nn.Conv2d(previous, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight)
        network.extend([convolution, nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2)])
        previous = channels
    inputs = previous * (SIDE // 2 ** len(CHANNELS)) ** 2
    output = nn.Linear(inputs, CLASSES)
    nn.init.normal_(output.weight, std=0.1 / math.sqrt(inputs))
    nn.init.zeros_(output.bias)
    return network.extend([nn.Flatten(), output])
