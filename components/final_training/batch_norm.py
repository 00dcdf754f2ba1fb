"""B2: batch norm's mean and variance over all training data."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.training.loop.training_images import Images

STATISTICS_BATCH = 256


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, pixels: Images) -> None:
    """Replace the running averages by averages over ``pixels``, in place; nothing without batch norm.

    Each layer sees what it will see in use: without dropout, after layers that normalize by their batch. (torch's
    ``update_bn`` leaves dropout on, which makes the variances too large: Li et al. 2019.)

    Args:
        network: takes ``pixels``.
        pixels: uint8 (images, height, width, channels), the training split.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not layers:
        return
    size = max(2, images_at_once(pixels.shape[1:], STATISTICS_BATCH))  # of one, a 1x1 map has no variance
    batches = -(-len(pixels) // size)
    with _averaging(network, layers):
        for numbers in torch.tensor_split(torch.arange(len(pixels)), batches):
            network(pixels[numbers])


@contextmanager
def _averaging(network: nn.Module, layers: list[_BatchNorm]) -> Iterator[None]:
    """Only these layers train, and they begin averages in which each batch counts alike."""
    modes = {module: module.training for module in network.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    network.eval()
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None
    try:
        yield
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training
