"""Set-ups without a fault, over networks, initializations, normalizations and data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from setups import CONVNET, MLP, TWO_LAYER, Make, normalized, on, setup
from torch import Tensor, nn
from torch.nn import functional
from zoo_data import Images, digits, statistics, stripes

from sanefit.components.sanity_checks.setup import Setup


@dataclass(frozen=True)
class Healthy:
    """A set-up that every check must pass."""

    name: str
    make: Make


class PlainNetwork(nn.Module):
    """As a beginner writes it: torch's own initialization, ReLU as a function."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.hidden = nn.Linear(32 * (side // 4) ** 2, 64)
        self.output = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        features = functional.max_pool2d(functional.relu(self.conv2(features)), 2)
        scores: Tensor = self.output(functional.relu(self.hidden(features.flatten(1))))
        return scores


def _few() -> Images:
    images = digits()
    return replace(images, train_pixels=images.train_pixels[:400], train_labels=images.train_labels[:400])


def _two_classes() -> Images:
    images = stripes()
    train, validation = images.train_labels // 3, images.validation_labels // 3
    return replace(images, train_labels=train, validation_labels=validation, classes=2)


def _unbalanced() -> Images:
    images = digits()
    kept = (images.train_labels < 3) | (torch.arange(len(images.train_labels)) % 5 == 0)
    return replace(images, train_pixels=images.train_pixels[kept], train_labels=images.train_labels[kept])


def _noisy_labels() -> Images:
    images = digits()
    labels = images.train_labels.clone()
    labels[::10] = (labels[::10] + 1) % 10
    return replace(images, train_labels=labels)


def _plain(images: Images) -> Setup:
    torch.manual_seed(0)
    return on(images, normalized(images, PlainNetwork(images.shape[2], images.shape[0], images.classes)))


def _linear(images: Images) -> Setup:
    torch.manual_seed(0)
    inputs = images.train_pixels[0].numel()
    return on(images, normalized(images, nn.Sequential(nn.Flatten(), nn.Linear(inputs, images.classes))))


def _centered(images: Images, network: dict[str, Any], **options: Any) -> Setup:
    return setup(images, network, stats=statistics(images, std=False), **options)


def healthy(cifar10: Images | None = None) -> list[Healthy]:
    """The set-ups; with CIFAR-10, those that need real photographs take it, and else the stripes."""
    photos = cifar10 or stripes()
    toy = {"kind": "two_layer", "hidden": 50, "init": "gaussian:1e-4"}
    makes: dict[str, Callable[[], Setup]] = {
        "two_layer": lambda: setup(digits(), TWO_LAYER),
        "two_layer_tanh": lambda: setup(digits(), {**TWO_LAYER, "activation": "tanh"}),
        "two_layer_sigmoid": lambda: setup(digits(), {**TWO_LAYER, "activation": "sigmoid"}),
        "two_layer_small_gaussian": lambda: setup(digits(), {**TWO_LAYER, "init": "gaussian:0.01"}),
        "lecture": lambda: _centered(photos, toy, momentum=0.0, learning_rates=(1e-6, 1e-3), weight_decays=(1e-5, 1e5)),
        "mlp": lambda: setup(digits(), MLP),
        "mlp_xavier_relu": lambda: setup(digits(), {**MLP, "init": "xavier"}),
        "mlp_tanh": lambda: setup(photos, {**MLP, "activation": "tanh"}),
        "mlp_elu": lambda: setup(digits(), {**MLP, "activation": "elu"}),
        "mlp_leaky_relu": lambda: setup(digits(), {**MLP, "activation": "leaky_relu"}),
        "mlp_maxout": lambda: setup(digits(), {**MLP, "activation": "maxout"}),
        "mlp_orthogonal": lambda: setup(photos, {**MLP, "init": "orthogonal"}),
        "mlp_deep_batch_norm": lambda: setup(digits(), {**MLP, "depth": 6, "batch_norm": True}),
        "mlp_dropout": lambda: setup(digits(), {**MLP, "dropout": 0.5}),
        "convnet": lambda: setup(photos, CONVNET),
        "convnet_without_batch_norm": lambda: setup(digits(), {**CONVNET, "batch_norm": False}),
        "convnet_tanh": lambda: setup(digits(), {**CONVNET, "activation": "tanh"}),
        "convnet_dropout": lambda: setup(photos, {**CONVNET, "dropout": 0.5}),
        "convnet_centered_only": lambda: _centered(photos, CONVNET),
        "convnet_own_range": lambda: setup(digits(), CONVNET, learning_rates=(1e-3, 1e0)),
        "resnet": lambda: setup(photos, {"kind": "resnet", "channels": [8, 16], "blocks": 1}),
        "resnet_elu_dropout": lambda: setup(
            digits(), {"kind": "resnet", "channels": [8, 16], "blocks": 2, "activation": "elu", "dropout": 0.3}
        ),
        "torchvision_resnet18": lambda: setup(photos, {"kind": "torchvision", "name": "resnet18"}),
        "plain_network_of_a_user": lambda: _plain(photos),
        "plain_network_on_digits": lambda: _plain(digits()),
        "linear_classifier": lambda: _linear(digits()),
        "few_images": lambda: setup(_few(), CONVNET),
        "two_classes": lambda: setup(_two_classes(), CONVNET),
        "unbalanced_classes": lambda: setup(_unbalanced(), MLP),
        "a_tenth_of_the_labels_wrong": lambda: setup(_noisy_labels(), MLP),
        "label_smoothing": lambda: setup(
            digits(), MLP, loss=lambda s, y: functional.cross_entropy(s, y, label_smoothing=0.1)
        ),
    }
    return [Healthy(name, make) for name, make in makes.items()]
