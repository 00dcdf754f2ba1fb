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
    return _cut(torch.randperm(images, generator=generator), batch_size)


def balanced_batches(labels: Tensor, batch_size: int, seed: int, epoch: int) -> tuple[torch.Tensor, ...]:
    """The same with as many images of each class, as near as can be: of a small one, each comes several times.

    Args:
        labels: int64 (images,), on the CPU.
        batch_size, seed, epoch: as for ``shuffled_batches``.

    Returns:
        int64 tensors of image indices; as many together as there are images.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "balanced epoch", epoch))
    order = torch.argsort(labels, stable=True)
    classes = torch.split(order, torch.bincount(labels)[labels.unique()].tolist())
    shares = torch.full((len(classes),), len(labels) // len(classes))
    shares[torch.randperm(len(classes), generator=generator)[: len(labels) % len(classes)]] += 1
    drawn = [
        torch.cat(
            [members[torch.randperm(len(members), generator=generator)] for _ in range(-(-share // len(members)))]
        )
        for members, share in zip(classes, shares.tolist(), strict=True)
    ]
    chosen = torch.cat([images[:share] for images, share in zip(drawn, shares.tolist(), strict=True)])
    return _cut(chosen[torch.randperm(len(chosen), generator=generator)], batch_size)


def _cut(order: Tensor, batch_size: int) -> tuple[torch.Tensor, ...]:
    return torch.tensor_split(order, -(-len(order) // batch_size))
