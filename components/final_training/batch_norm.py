"""B2: batch norm's mean and variance over all training data."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

STATISTICS_BATCH = 256


def reestimate_batch_norm(network: nn.Module, pixels: Tensor) -> None:
    """Replace the running averages by averages over ``pixels``, in place; nothing without batch norm.

    Args:
        network: takes ``pixels``.
        pixels: uint8 (images, height, width, channels), the training split.
    """
    batches = -(-len(pixels) // STATISTICS_BATCH)
    update_bn(torch.tensor_split(pixels, batches), network)
