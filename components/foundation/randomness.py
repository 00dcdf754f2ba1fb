"""Seeds for each random thing from the one seed of a run, and random numbers that depend on a key alone.

A generator's next number depends on what was drawn before it, so a network that is trained beside others would see
other dropout than alone. Here number i of a key is a hash of both (counter-based, as in Salmon et al. 2011): the same
on every device, however many are drawn at once.
"""

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BITS = 2**32 - 1


def derive_seed(seed: int, *labels: str | int) -> int:
    """A seed in [0, 2^63) that depends on ``seed`` and on every label."""
    text = "/".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def mix(values: "Tensor") -> "Tensor":
    """A hash from int64 in [0, 2^32) to int64 in [0, 2^32), one to one (Wellons' lowbias32)."""
    values = (values ^ (values >> 16)) * 0x7FEB352D & BITS
    values = (values ^ (values >> 15)) * 0x846CA68B & BITS
    return values ^ (values >> 16)


def keyed_uniform(keys: "Tensor", shape: tuple[int, ...], rank: int = 0, ranks: int = 1) -> "Tensor":
    """Uniform float32 in [0, 1), (*keys.shape, *shape).

    Args:
        keys: int64 in [0, 2^32); equal keys give equal numbers.
        shape: of the numbers of each key.
        rank, ranks: with several processes, each gets the rows of the images that it has of the whole batch.
    """
    import torch  # seeds are derived where there is no torch

    numbers = torch.arange(math.prod(shape) * ranks, device=keys.device)
    if ranks > 1:
        numbers = numbers.reshape(shape[0], ranks, *shape[1:])[:, rank]
    index = mix(numbers.reshape(shape))
    hashed = mix(index + keys.reshape(*keys.shape, *(1,) * len(shape)) & BITS)
    return (hashed >> 8).float() * 2.0**-24  # float32 holds 24 bits
