"""Dropout whose masks depend on a seed and a step alone, not on what else is trained in the process."""

import torch
from torch import Tensor, nn

from sanefit.components.foundation.randomness import BITS, derive_seed, keyed_uniform, mix

UNSET = -1


class KeyedDropout(nn.Dropout):
    """Sets a share ``p`` of its inputs to 0 in training and scales the others by 1 / (1 - p) (Srivastava et al. 2014).

    Before ``key_dropout`` was called its masks come from torch's own generator. A kind of ``nn.Dropout``, so that what
    looks for dropout finds it.
    """

    key: Tensor
    step: Tensor
    share: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.register_buffer("key", torch.tensor(UNSET), persistent=False)
        self.register_buffer("step", torch.tensor(0), persistent=False)
        self.register_buffer("share", torch.tensor(p), persistent=False)
        self.keyed = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Float (images, ...) to the same shape."""
        if not self.training or not self.keyed:
            return super().forward(inputs)
        return drop(inputs, self.share, step_key(self.key, self.step))


def step_key(keys: Tensor, step: Tensor) -> Tensor:
    """The key of a layer's mask in this step: int64, of the shape of ``keys``."""
    return mix((keys + mix(step)) & BITS)


def drop(inputs: Tensor, share: float | Tensor, key: Tensor) -> Tensor:
    """``inputs`` with a share of its values 0 and the others scaled up.

    Args:
        inputs: float (*key.shape, ...).
        share: in [0, 1): a number, or a tensor that can be broadcast to ``inputs``.
        key: int64, one for each mask.
    """
    kept = keyed_uniform(key, tuple(inputs.shape[key.ndim :])) >= share
    return torch.where(kept, inputs / (1 - share), 0.0)


def layer_key(seed: int, layer: int) -> int:
    """The key of the dropout layer with this number, from 0, of a network with this seed."""
    return derive_seed(seed, "dropout", layer) & BITS


def dropout_layers(network: nn.Module) -> list[KeyedDropout]:
    """A network's keyed dropout layers, input to output."""
    return [module for module in network.modules() if isinstance(module, KeyedDropout)]


def key_dropout(network: nn.Module, seed: int) -> None:
    """Let every keyed dropout layer draw its masks from ``seed`` and ``step`` from now on."""
    for number, layer in enumerate(dropout_layers(network)):
        layer.key.fill_(layer_key(seed, number))
        layer.share.fill_(layer.p)
        layer.keyed = True
