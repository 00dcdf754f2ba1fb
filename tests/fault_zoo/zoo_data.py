"""Data sets of the zoo: small, of both kinds of channels, made or taken from what is installed."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from listed_sources import read_all
from torch import Tensor

from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.schemas.statistics import ChannelStats

CIFAR10_IMAGES = 6000


@dataclass(frozen=True)
class Images:
    """Pixels are uint8 (images, height, width, channels), labels int64 (images,)."""

    train_pixels: Tensor
    train_labels: Tensor
    validation_pixels: Tensor
    validation_labels: Tensor
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.train_pixels.shape
        return height, width, channels


@cache
def digits() -> Images:
    """scikit-learn's digits, 8x8x1, 10 classes: 1,400 and 397 images."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = torch.from_numpy((data.images * 255 / 16).astype(np.uint8))[..., None]
    return split(pixels, torch.from_numpy(data.target.astype(np.int64)), 1400, 10)


@cache
def stripes() -> Images:
    """Stripes of 6 directions in colors around one of them, noise over them, 16x16x3: 2,400 and 600 images."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 3000)
    row, column = np.mgrid[0:16, 0:16]
    angle = labels[:, None, None] * np.pi / 6
    phase, pitch = random.uniform(0, 2 * np.pi, (3000, 1, 1)), random.uniform(0.8, 1.2, (3000, 1, 1))
    wave = np.sin(pitch * (row * np.cos(angle) + column * np.sin(angle)) + phase)
    color = np.array([170, 120, 60]) + random.normal(0, 20, (3000, 3))
    pixels = color[:, None, None, :] + 50 * wave[..., None] + random.normal(0, 25, (3000, 16, 16, 3))
    return split(torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), torch.from_numpy(labels), 2400, 6)


@cache
def cifar10(archive: Path) -> Images:
    """6,000 images of CIFAR-10's training archive, as many of each class; 5,000 of them to train on."""
    pixels, labels, seen = [], [], dict[str, int]()
    for image in read_all(f"tar:{archive}"):
        seen[image.class_name] = seen.get(image.class_name, 0) + 1
        if seen[image.class_name] <= CIFAR10_IMAGES // 10:
            pixels.append(decode(image.content, image.path))
            labels.append(len(seen) - 1)
    return split(torch.from_numpy(np.stack(pixels)), torch.tensor(labels), 5000, 10)


def split(pixels: Tensor, labels: Tensor, train: int, classes: int) -> Images:
    """The first ``train`` images of a shuffle, and the rest."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    first, rest = order[:train], order[train:]
    return Images(pixels[first], labels[first], pixels[rest], labels[rest], classes)


def statistics(images: Images, std: bool = True) -> ChannelStats:
    """As the pipeline's step measures them."""
    values = images.train_pixels.double()
    mean, spread = values.mean(dim=(0, 1, 2)).tolist(), values.std(dim=(0, 1, 2)).tolist()
    return ChannelStats(
        normalization="channel_mean_std" if std else "channel_mean",
        images=len(values),
        mean=mean,
        std=spread,
        shift=mean,
        scale=spread if std else [1.0] * len(mean),
        histogram=[],
    )
