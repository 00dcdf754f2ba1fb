"""What networks did in an epoch so far, counted on the device."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

LOOK_EVERY = 32  # steps between two looks at a tally, where a look makes a GPU or other processes wait


@dataclass
class EpochTally:
    """Sums over the batches, each (T,): ``losses`` float64, ``images`` and ``steps`` int64, ``correct`` int64.

    They count up to the batch that diverged, ``correct`` up to the one before: which of several NaN is the highest
    score is nobody's answer. ``alive``: bool (T,), whether every loss so far was finite.
    """

    losses: Tensor
    correct: Tensor
    images: Tensor
    steps: Tensor
    alive: Tensor

    @classmethod
    def of(cls, networks: int, device: torch.device) -> "EpochTally":
        """Nothing yet."""
        zeros = torch.zeros(networks, dtype=torch.int64, device=device)
        return cls(zeros.double(), zeros.clone(), zeros.clone(), zeros.clone(), zeros == 0)

    def restore(self, counted: Tensor, batches: int) -> None:
        """What ``counted`` gave after so many batches, (T, 3), in place."""
        losses, correct, images = counted.to(self.losses.device).unbind(dim=1)
        self.losses.copy_(losses)
        self.correct.copy_(correct)
        self.images.copy_(images)
        self.steps.fill_(batches)

    @property
    def counted(self) -> Tensor:
        """Sums of losses, right answers and images, float64 (T, 3)."""
        return torch.stack([self.losses, self.correct.double(), self.images.double()], dim=1)

    def clear(self) -> None:
        """Nothing yet, in place."""
        for counted in (self.losses, self.correct, self.images, self.steps):
            counted.zero_()
        self.alive.fill_(True)

    def add(self, losses: Tensor, right: Tensor, images: int) -> None:
        """Count a batch: mean losses and right answers, (T,). In place, without waiting for the device."""
        # Not by a product with ``alive``: 0 times NaN is NaN.
        self.losses.add_(torch.where(self.alive, losses.double() * images, 0.0))
        self.images.add_(self.alive, alpha=images)
        self.steps.add_(self.alive)
        self.alive.logical_and_(losses.isfinite())
        self.correct.add_(torch.where(self.alive, right, 0))

    def select(self, kept: Tensor) -> "EpochTally":
        """Of the networks with these numbers."""
        return EpochTally(*(getattr(self, field.name)[kept] for field in fields(self)))
