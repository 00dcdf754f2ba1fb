"""The pictures of the page: some of each class, and what is odd. No more images are read than are shown."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sanefit.components.foundation.image_dataset.shards import FILE, LABEL, ROW, images_at, read_index
from sanefit.components.foundation.schemas.images import (
    DatasetReference,
    LabelConflict,
    Manifest,
    NearDuplicate,
    UnusualImage,
)
from sanefit.components.foundation.schemas.label_errors import SuspectedLabel

SAMPLES_PER_CLASS, MOST_SAMPLED_CLASSES = 10, 50
SIDE = 48  # of a picture on the page, in pixels
Place = tuple[int, int]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ClassSamples:
    """A class and some of its training images; ``row``: a PNG, base64."""

    name: str
    row: str


@dataclass(frozen=True)
class DataPictures:
    """What the page shows of a data set; each picture is a PNG, base64, beside what it is of."""

    samples: list[ClassSamples]
    near: list[tuple[NearDuplicate, str]]
    conflicts: list[tuple[LabelConflict, str]]
    unusual: list[tuple[UnusualImage, str]]
    suspected: list[tuple[SuspectedLabel, str]]


def data_pictures(
    dataset: DatasetReference, manifest: Manifest, suspected: Sequence[SuspectedLabel] = ()
) -> DataPictures:
    """Up to ten training images of each of 50 classes, evenly chosen; pairs of near-duplicates; conflicts; the unusual.

    Args:
        dataset, manifest: which images.
        suspected: those that are shown for their labels.

    Raises:
        DataError, StorageError: when an image cannot be read.
    """

    def row(places: Sequence[Place]) -> str:
        index = np.array([(*place, 0) for place in places], dtype=np.int64)
        images = images_at(dataset, manifest, index)
        # One at a time: large ones are made small before the next is read.
        return picture_row([small(images.read(np.array([number]))[0]) for number in range(len(index))])

    return DataPictures(
        samples=[ClassSamples(name, row(places)) for name, places in _sampled_places(dataset, manifest)],
        near=[(near, row(near.places)) for near in manifest.near_examples],
        conflicts=[(one, row([one.place])) for one in manifest.label_conflicts if one.place is not None],
        unusual=[(one, row([one.place])) for one in manifest.unusual],
        suspected=[(one, row([one.place])) for one in suspected],
    )


def _sampled_places(dataset: DatasetReference, manifest: Manifest) -> list[tuple[str, list[Place]]]:
    index = read_index(dataset, "train", manifest)
    present = np.unique(index[:, LABEL])
    chosen = present[:: -(-len(present) // MOST_SAMPLED_CLASSES)]
    return [
        (
            manifest.class_names[label],
            [(shard, row) for shard, row in index[index[:, LABEL] == label][:SAMPLES_PER_CLASS, [FILE, ROW]].tolist()],
        )
        for label in chosen.tolist()
    ]


def small(pixels: Pixels) -> Image.Image:
    """A picture of at most ``SIDE`` pixels on both sides; a small one is enlarged by a whole number.

    Args:
        pixels: uint8 (height, width, 1 or 3).
    """
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    longest = max(picture.size)
    if longest > SIDE:
        picture.thumbnail((SIDE, SIDE))
        return picture
    times = SIDE // longest
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def picture_row(pictures: Sequence[Image.Image]) -> str:
    """Pictures beside each other, as a PNG, base64."""
    width = sum(picture.width + 2 for picture in pictures)
    row = Image.new(pictures[0].mode, (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + 2
    buffer = io.BytesIO()
    row.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
