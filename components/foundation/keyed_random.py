"""Random numbers that depend on a key alone: the same on every device, however many are drawn at once.

A generator's next number depends on what was drawn before it, so a network that is trained beside others would see
other dropout than alone. Here number i of a key is a hash of both (counter-based, as in Salmon et al. 2011).
"""

import math

import torch
from torch import Tensor

from components.foundation.image_dataset.batches import WHOLE, BatchPart

BITS = 2**32 - 1


def mix(values: Tensor) -> Tensor:
    """A hash from int64 in [0, 2^32) to int64 in [0, 2^32), one to one (Wellons' lowbias32)."""
    values = (values ^ (values >> 16)) * 0x7FEB352D & BITS
    values = (values ^ (values >> 15)) * 0x846CA68B & BITS
    return values ^ (values >> 16)


def keyed_uniform(keys: Tensor, shape: tuple[int, ...], part: BatchPart = WHOLE) -> Tensor:
    """Uniform float32 in [0, 1), (*keys.shape, *shape).

    Args:
        keys: int64 in [0, 2^32); equal keys give equal numbers.
        shape: of the numbers of each key.
        part: with several processes, each gets the rows of the images that it has of the whole batch.
    """
    numbers = torch.arange(math.prod(shape) * part.ranks, device=keys.device)
    if part.ranks > 1:
        numbers = numbers.reshape(shape[0], part.ranks, *shape[1:])[:, part.rank]
    index = mix(numbers.reshape(shape))
    hashed = mix(index + keys.reshape(*keys.shape, *(1,) * len(shape)) & BITS)
    return (hashed >> 8).float() * 2.0**-24  # float32 holds 24 bits
