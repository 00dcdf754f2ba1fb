"""One step down the gradient, and the loss that it follows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # of scores (images, classes) and labels (images,), a scalar
Step = Callable[[torch.optim.Optimizer, Tensor], None]


def gradient_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Change the optimizer's weights once, by the gradient of a scalar loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@dataclass(frozen=True)
class InGroup:
    """A batch among those whose gradients make one step. ``share``: of the group's images, that it has."""

    share: float = 1.0
    is_first: bool = True
    is_last: bool = True


ALONE = InGroup()


def in_group(sizes: list[int], number: int, accumulate: int) -> InGroup:
    """The ``number``th batch of an epoch, from 0: each ``accumulate`` batches make a group, the last ones what is left.

    Args:
        sizes: images of each batch of the epoch.
        number: of the batch.
        accumulate: batches of a group.
    """
    if accumulate == 1:
        return ALONE
    first = number - number % accumulate
    group = sizes[first : first + accumulate]
    return InGroup(sizes[number] / sum(group), number == first, number == first + len(group) - 1)


def scaled_step(optimizer: torch.optim.Optimizer, loss: Tensor, group: InGroup, scaler: torch.amp.GradScaler) -> None:
    """Add the gradient of a batch to its group's, and step after the last; not where float16 could not hold it.

    Args:
        optimizer, loss: as for ``gradient_step``; the loss is weighed by the batch's share.
        group: where the batch stands.
        scaler: of the loss; one that is off does nothing.
    """
    if group.is_first:
        optimizer.zero_grad()
    scaler.scale(loss).backward()
    if group.is_last:
        scaler.step(optimizer)
        scaler.update()
