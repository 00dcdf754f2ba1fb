"""What each step of an epoch uses, as tables on the device: a recorded step reads its row there."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.training.loop.augmented_batch import augmentation_keys
from sanefit.components.foundation.training.loop.recipe import Recipe


@dataclass
class EpochTables:
    """``row``: int64 scalar, the step that comes next.

    ``rates``: (steps, T). ``augmentation``: int64 (steps, 3). ``counts``: float64 (steps,), of all steps so far.
    """

    rates: Tensor
    augmentation: Tensor
    counts: Tensor
    row: Tensor

    def fill(self, other: "EpochTables") -> None:
        """Take the values of another epoch, in place."""
        for mine, theirs in (
            (self.rates, other.rates),
            (self.augmentation, other.augmentation),
            (self.counts, other.counts),
            (self.row, other.row),
        ):
            mine.copy_(theirs)

    def now(self, table: Tensor) -> Tensor:
        """The present row of a table, without waiting for the device."""
        return table.index_select(0, self.row.reshape(1)).squeeze(0)


def epoch_tables(
    recipes: Sequence[Recipe], epoch: int, batches: int, steps: int, dtype: torch.dtype, device: torch.device
) -> EpochTables:
    """Of an epoch before its first step.

    Args:
        recipes: of T networks; all have the augmentation of the first.
        epoch: from 1.
        batches: of the epoch.
        steps: that are behind them.
        dtype: of the rates.
        device: where the networks are.
    """
    rates = [[recipe.rate_at(epoch, number, batches) for recipe in recipes] for number in range(batches)]
    keys = [augmentation_keys(recipes[0], epoch, number) for number in range(batches)]
    return EpochTables(
        rates=torch.tensor(rates, dtype=dtype, device=device),
        augmentation=torch.tensor(keys, device=device),
        counts=torch.arange(steps + 1, steps + batches + 1, dtype=torch.float64, device=device),
        row=torch.zeros((), dtype=torch.int64, device=device),
    )
