"""B2: batch norm's mean and variance over all training data."""

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from components.foundation.image_dataset.batch_size import images_at_once
from components.foundation.training.training_images import Images

STATISTICS_BATCH = 256


def reestimate_batch_norm(network: nn.Module, pixels: Images) -> None:
    """Replace the running averages by averages over ``pixels``, in place; nothing without batch norm.

    Args:
        network: takes ``pixels``.
        pixels: uint8 (images, height, width, channels), the training split.
    """
    size = max(2, images_at_once(pixels.shape[1:], STATISTICS_BATCH))  # of one, a 1x1 map has no variance
    batches = -(-len(pixels) // size)
    numbers = torch.tensor_split(torch.arange(len(pixels)), batches)
    update_bn((pixels[chosen] for chosen in numbers), network)
