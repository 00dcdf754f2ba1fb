"""What the processes of one training tell each other; nothing where there is one."""

import torch
from torch import Tensor, distributed

from sanefit.components.foundation.image_dataset.batches import BatchPart


def sum_of_all(values: Tensor, part: BatchPart) -> Tensor:
    """The sum over the processes, of the shape of ``values``, which stay as they are."""
    total = values.clone()
    if part.ranks > 1:
        distributed.all_reduce(total)
    return total


def highest_of_all(value: int, part: BatchPart, device: torch.device) -> int:
    """The highest of the processes' values."""
    if part.ranks == 1:
        return value
    highest = torch.tensor(value, device=device)
    distributed.all_reduce(highest, distributed.ReduceOp.MAX)
    return int(highest)


def as_the_first_has_it(values: Tensor, part: BatchPart) -> Tensor:
    """The values of the process of rank 0, in place."""
    if part.ranks > 1:
        distributed.broadcast(values, src=0)
    return values
