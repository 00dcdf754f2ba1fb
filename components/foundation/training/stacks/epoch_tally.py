"""What the networks of a stack did in an epoch so far, counted on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class EpochTally:
    """Sums over the batches, each (T,): ``losses`` float64, up to the batch that diverged, and ``correct`` int64.

    ``correct`` counts up to the batch before that one: which of several NaN is the highest score is nobody's answer.
    ``alive``: bool (T,), whether every loss so far was finite. ``steps``: int64 (T,), batches seen, that one included.
    """

    losses: Tensor
    correct: Tensor
    alive: Tensor
    steps: Tensor

    @classmethod
    def of(cls, networks: int, device: torch.device) -> "EpochTally":
        """Nothing yet."""
        zeros = torch.zeros(networks, dtype=torch.int64, device=device)
        alive = torch.ones(networks, dtype=torch.bool, device=device)
        return cls(zeros.double(), zeros.clone(), alive, zeros.clone())

    def clear(self) -> None:
        """Nothing yet, in place."""
        self.losses.zero_()
        self.correct.zero_()
        self.alive.fill_(True)
        self.steps.zero_()

    def add(self, losses: Tensor, right: Tensor, images: int) -> None:
        """Count a batch: mean losses and right answers, (T,). In place, without waiting for the device."""
        # Not by a product with ``alive``: 0 times NaN is NaN.
        self.losses.add_(torch.where(self.alive, losses.double() * images, 0.0))
        self.steps.add_(self.alive)
        self.alive.logical_and_(losses.isfinite())
        self.correct.add_(torch.where(self.alive, right, 0))

    def select(self, kept: Tensor) -> "EpochTally":
        """Of the networks with these numbers."""
        return EpochTally(self.losses[kept], self.correct[kept], self.alive[kept], self.steps[kept])
