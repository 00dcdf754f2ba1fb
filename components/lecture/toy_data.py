"""The slides' images: all of a source in memory, shuffled, the last 5,000 to validate."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.stacks.trial import Problem

VALIDATION = 5000
SAY_EVERY = 10_000


@dataclass(frozen=True)
class ToyData:
    """Pixels are uint8 (images, 32, 32, 3), labels int64 (images,); the last 5,000 images are there to validate."""

    pixels: Tensor
    labels: Tensor
    classes: int

    def splits(self, validated: int = VALIDATION) -> TrainingData:
        """All to train on, and the last so many to validate."""
        train, validation = slice(-VALIDATION), slice(-validated, None)
        return TrainingData(self.pixels[train], self.labels[train], self.pixels[validation], self.labels[validation])

    @cached_property
    def problem(self) -> Problem:
        """The training images' channel means are subtracted."""
        means = self.pixels[:-VALIDATION].double().mean(dim=(0, 1, 2)).tolist()
        stats = ChannelStats(
            normalization="channel_mean", images=1, mean=means, std=means, shift=means, scale=[1.0] * 3, histogram=[]
        )
        return Problem((32, 32, 3), self.classes, stats)


def read_toy_data(source: str, seed: int, say: Say) -> ToyData:
    """Every image of a source.

    Args:
        source: ``tar:PATH`` or ``folder:PATH`` with CIFAR-10's training images.
        seed: of the order.
        say: prints a line.

    Raises:
        DataError: when it cannot be read, or is not of the slides' size.
    """
    classes: dict[str, int] = {}
    pixels, labels = [], []
    with tempfile.TemporaryDirectory(prefix="sanefit-") as scratch:
        for image in list_source(source, Path(scratch)).images:
            pixels.append(decode(image.location.read(), image.path))
            labels.append(classes.setdefault(image.class_name, len(classes)))
            if len(pixels) % SAY_EVERY == 0:
                say(f"decoded {len(pixels):,} images")
    shapes = {array.shape for array in pixels}
    if len(pixels) <= 2 * VALIDATION or shapes != {(32, 32, 3)}:
        raise DataError(
            f"{source!r}: {len(pixels):,} images of shapes {sorted(shapes)[:3]}; expected CIFAR-10's 50,000 training "
            "images of 32x32x3; set --data"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return ToyData(torch.from_numpy(np.stack(pixels))[order], torch.tensor(labels)[order], len(classes))
