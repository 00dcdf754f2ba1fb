"""A split's images for training: on the device when they fit there, else read from disk batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.shards import SplitImages, open_split
from sanefit.components.foundation.machine.memory import available_memory
from sanefit.components.foundation.schemas.images import DatasetReference, Manifest, SplitName

SHARE_OF_MEMORY = 0.5  # of what is free may hold images; the network and its gradients need the rest
ITERATED_AT_ONCE = 256


@dataclass(frozen=True)
class StreamedImages:
    """Images on disk that are indexed as a tensor of them would be.

    ``device``: where what is read goes.
    """

    images: SplitImages
    device: torch.device

    @property
    def shape(self) -> torch.Size:
        """(images, height, width, channels)."""
        return torch.Size([len(self.images), *self.images.image_shape])

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Tensor]:
        size = images_at_once(self.shape[1:], ITERATED_AT_ONCE)
        return (image for batch in self.split(size) for image in batch)

    def __getitem__(self, chosen: int | slice | Tensor) -> Tensor:
        """Images by number: uint8 (height, width, channels) of one, else (chosen, height, width, channels)."""
        if isinstance(chosen, int):
            return self[torch.tensor([chosen])][0]
        numbers = torch.arange(len(self))[chosen] if isinstance(chosen, slice) else chosen.cpu()
        return torch.from_numpy(self.images.read(numbers.numpy())).to(self.device)

    def split(self, size: int) -> Iterator[Tensor]:
        """All images, this many at a time."""
        return (self[numbers] for numbers in torch.arange(len(self)).split(size))


Images = Tensor | StreamedImages


def select(images: Images, numbers: Tensor) -> Images:
    """The images with these numbers, int64, in this order; images on disk stay there."""
    if isinstance(images, Tensor):
        return images[numbers]
    return StreamedImages(images.images.part(numbers.cpu().numpy()), images.device)


def read_batch(images: Images, numbers: Tensor) -> Tensor:
    """The images with these numbers, int64, in this order: uint8 (numbers, height, width, channels) on the device."""
    # Whole images are copied; indexing goes pixel by pixel, which takes five times as long on a CPU.
    return images.index_select(0, numbers.to(images.device)) if isinstance(images, Tensor) else images[numbers]


def on_device(images: Images, device: torch.device) -> Images:
    """The same images on a device; those on disk stay there, and what is read of them goes to the device."""
    return images.to(device) if isinstance(images, Tensor) else StreamedImages(images.images, device)


def training_images(
    dataset: DatasetReference, splits: tuple[SplitName, ...], device: torch.device, manifest: Manifest | None = None
) -> list[tuple[Images, Tensor]]:
    """Images and labels of each of these splits; all are on the device, or all of them stay on disk.

    Images are uint8 (images, height, width, channels), labels int64 (images,).

    Raises:
        DataError, StorageError: as ``open_split``.
    """
    opened = [open_split(dataset, split, manifest=manifest) for split in splits]
    size = sum(len(images) * images.image_bytes for images in opened)
    fit = size <= SHARE_OF_MEMORY * available_memory(device)
    return [
        (
            torch.from_numpy(images.read_all()).to(device) if fit else StreamedImages(images, device),
            torch.from_numpy(images.labels).to(device),
        )
        for images in opened
    ]
