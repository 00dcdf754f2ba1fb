"""Random numbers that depend on a key alone: the same on every device, however many are drawn at once.

A generator's next number depends on what was drawn before it, so a network that is trained beside others would see
other dropout than alone. Here number i of a key is a hash of both (counter-based, as in Salmon et al. 2011).
"""

import torch
from torch import Tensor

BITS = 2**32 - 1


def mix(values: Tensor) -> Tensor:
    """A hash from int64 in [0, 2^32) to int64 in [0, 2^32), one to one (Wellons' lowbias32)."""
    values = (values ^ (values >> 16)) * 0x7FEB352D & BITS
    values = (values ^ (values >> 15)) * 0x846CA68B & BITS
    return values ^ (values >> 16)


def keyed_uniform(keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform float32 in [0, 1), (*keys.shape, *shape).

    Args:
        keys: int64 in [0, 2^32); equal keys give equal numbers.
        shape: of the numbers of each key.
    """
    count = 1
    for size in shape:
        count *= size
    index = mix(torch.arange(count, device=keys.device).reshape(shape))
    hashed = mix(index + keys.reshape(*keys.shape, *(1,) * len(shape)) & BITS)
    return (hashed >> 8).float() * 2.0**-24  # float32 holds 24 bits
