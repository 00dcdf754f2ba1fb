"""Two images in one: mixup and CutMix, each image with its mirror in the batch, which is as far from the other end.

Batches come in a random order, so a mirror is as good as any image; and it is known to each of several processes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batches import BatchPart
from sanefit.components.foundation.training.loop.gradient_step import Loss


@dataclass(frozen=True)
class Mix:
    """Of a whole batch. ``share``: of each image itself and of its label, in [0, 1]; the rest is its mirror's.

    ``box``: first and last rows and columns, the last not counted, that are the mirror's; None: all pixels are mixed.
    """

    share: float
    box: tuple[int, int, int, int] | None = None

    def of(self, pixels: Tensor, mirrors: Tensor) -> Tensor:
        """Uint8 (images, height, width, channels) each; float32 where pixels are mixed, else uint8."""
        if self.box is None:
            return torch.lerp(mirrors.float(), pixels.float(), self.share)
        top, bottom, left, right = self.box
        mixed = pixels.clone()
        mixed[:, top:bottom, left:right] = mirrors[:, top:bottom, left:right]
        return mixed


@dataclass(frozen=True)
class Targets:
    """What a batch is to be taken for: ``labels``, int64 (images,), and those of its mirrors where it is mixed."""

    labels: Tensor
    mirrors: Tensor | None = None
    share: float = 1.0

    def mean(self, loss: Loss, scores: Tensor) -> Tensor:
        """The loss; of a cross-entropy, that against labels mixed as the images are, for it is linear in them."""
        own = loss(scores, self.labels)
        return own if self.mirrors is None else self.share * own + (1 - self.share) * loss(scores, self.mirrors)

    def right(self, scores: Tensor) -> Tensor:
        """How many images have their highest score at the label that has the larger share, int64, a scalar."""
        larger = self.labels if self.mirrors is None or self.share >= 0.5 else self.mirrors
        return (scores.argmax(dim=1) == larger).sum()


def draw_mix(mixup: float, cutmix: float, seed: int, image_shape: tuple[int, int]) -> Mix | None:
    """How a batch is mixed; with both settings above 0 each has every second batch by chance. None: not at all.

    Args:
        mixup: alpha of the share's distribution Beta(alpha, alpha) (Zhang et al. 2018); 0 is off.
        cutmix: that of CutMix (Yun et al. 2019), whose share is one of the area.
        seed: of this batch.
        image_shape: (height, width).
    """
    kinds = [(alpha, boxed) for alpha, boxed in ((mixup, False), (cutmix, True)) if alpha > 0]
    if not kinds:
        return None
    random = np.random.default_rng(seed)
    alpha, boxed = kinds[random.integers(len(kinds))]
    share = float(random.beta(alpha, alpha))
    return _boxed(share, random, image_shape) if boxed else Mix(share)


def mirrored(batch_size: int, part: BatchPart) -> BatchPart:
    """The part of a batch that holds the mirrors of this one, the last first."""
    return BatchPart((batch_size - 1 - part.rank) % part.ranks, part.ranks)


def _boxed(share: float, random: np.random.Generator, image_shape: tuple[int, int]) -> Mix:
    """The box is cut off at the border; the share is what is left of the image then."""
    ends = []
    for side in image_shape:
        length, center = int(side * (1 - share) ** 0.5), int(random.integers(side))
        ends += [max(center - length // 2, 0), min(center - length // 2 + length, side)]
    top, bottom, left, right = ends
    area = (bottom - top) * (right - left) / (image_shape[0] * image_shape[1])
    return Mix(1 - area, (top, bottom, left, right))
