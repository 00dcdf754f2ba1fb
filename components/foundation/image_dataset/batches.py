"""The order in which images are trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.randomness import derive_seed


@dataclass(frozen=True)
class BatchPart:
    """What one of several processes trains on: of each batch every ``ranks``-th image, from the ``rank``-th on."""

    rank: int = 0
    ranks: int = 1

    def of(self, batch: Tensor) -> Tensor:
        """The part of a batch; sizes differ by at most one."""
        return batch[self.rank :: self.ranks]


WHOLE = BatchPart()


def shuffled_batches(images: int, batch_size: int, seed: int, epoch: int) -> tuple[torch.Tensor, ...]:
    """The batches of one epoch.

    Sizes differ by at most one, so that no last batch is too small for batch norm; for two images
    and more, and a batch size of three and more, every batch holds at least two.

    Args:
        images: how many images there are.
        batch_size: most images in a batch.
        seed, epoch: the same two give the same batches.

    Returns:
        int64 tensors of image indices; together each index once.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
    order = torch.randperm(images, generator=generator)
    return torch.tensor_split(order, -(-images // batch_size))
