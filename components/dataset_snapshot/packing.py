"""The second reading of a source: images to shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from components.dataset_snapshot.listing import ListedImage, storage_order
from components.foundation.artifacts import QuarantinedFile, Shard, SplitName
from components.foundation.errors import DataError
from components.foundation.image_dataset.decoding import decode
from components.foundation.image_dataset.shards import SHARD_BYTES, write_shard
from components.foundation.image_dataset.sources.digits import digits_pixels
from components.foundation.image_dataset.sources.read import read_source
from components.foundation.image_dataset.sources.source_image import SourceImage, SourceListing
from components.foundation.image_dataset.splits import content_digest
from components.foundation.settings import DataSettings
from components.foundation.step_log import Say

PROGRESS_EVERY = 10_000
REASONS_SHOWN = 3


@dataclass(frozen=True)
class Decoded:
    """The images whose pixels were appended, in that order, their common shape, and the files that are no images."""

    images: list[ListedImage]
    shape: tuple[int, int, int]
    quarantined: list[QuarantinedFile]


def decode_images(
    settings: DataSettings, images: list[ListedImage], used: list[int], scratch: IO[bytes], say: Say
) -> Decoded:
    """Append the pixels of every used image to ``scratch``; set broken files aside.

    Args:
        settings: the source and how its images are decoded.
        images: the first reading, in the source's order.
        used: indices of those to decode, rising.
        scratch: takes uint8 pixels.
        say: prints a line.

    Raises:
        DataError: when the source is not as it was, images differ in size, or too many files are broken.
    """
    wanted, kept = set(used), []
    quarantined: list[QuarantinedFile] = []
    shape: tuple[int, int, int] | None = None
    source = read_source(settings.source, SourceListing(own_splits=settings.splits == "own"))
    for number, (listed, image) in enumerate(zip_longest(images, source)):
        if listed is None or image is None or content_digest(image.content) != listed.digest:
            place = f"{image.path!r} in " if image else ""
            raise DataError(f"{place}{settings.source!r} changed while it was read; expected images at rest; run again")
        if number not in wanted:
            continue
        try:
            pixels = _pixels(settings, image)
        except DataError as error:
            quarantined.append(QuarantinedFile(path=image.path, reason=str(error).split(";")[0]))
            _require_few(settings, quarantined, len(used), finished=False)
            continue
        if shape is None:
            shape, first_path = (pixels.shape[0], pixels.shape[1], pixels.shape[2]), image.path
        if pixels.shape != shape:
            raise DataError(
                f"{image.path!r} is {pixels.shape[1]}x{pixels.shape[0]} pixels but {first_path!r} is "
                f"{shape[1]}x{shape[0]}; expected images of one size; set data.image_size to resize them"
            )
        scratch.write(pixels.tobytes())
        kept.append(listed)
        if len(kept) % PROGRESS_EVERY == 0:
            say(f"decoded {len(kept):,} of {len(used):,} images")
    _require_few(settings, quarantined, len(used), finished=True)
    assert shape is not None
    return Decoded(kept, shape, quarantined)


def write_split(
    split: SplitName,
    images: list[ListedImage],
    class_names: list[str],
    pixels: NDArray[np.uint8],
    folder: Path,
) -> Iterator[Shard]:
    """Write a split's shards, in the order of the digests: shuffled, and the same whatever the source's order.

    Args:
        split: which of them.
        images: of all splits.
        class_names: a class's label is its place here.
        pixels: uint8 (images, height, width, channels), in the order of ``images``.
        folder: where the shards go.
    """
    label_of = {name: label for label, name in enumerate(class_names)}
    members = sorted(
        (index for index, image in enumerate(images) if image.split == split),
        key=lambda index: storage_order(images[index]),
    )
    per_shard = max(1, SHARD_BYTES // pixels[0].nbytes)
    for number, start in enumerate(range(0, len(members), per_shard)):
        chosen = members[start : start + per_shard]
        labels = np.array([label_of[images[index].class_name] for index in chosen], dtype=np.int64)
        yield write_shard(folder, split, number, pixels[chosen], labels)


def _pixels(settings: DataSettings, image: SourceImage) -> NDArray[np.uint8]:
    if settings.source == "digits":
        return digits_pixels(image.content)
    return decode(image.content, image.path, settings.image_size, settings.background)


def _require_few(settings: DataSettings, quarantined: list[QuarantinedFile], files: int, *, finished: bool) -> None:
    """Raise DataError when more than the allowed share of all files is broken; at once, when that is certain."""
    if len(quarantined) <= settings.max_bad_fraction * files:
        return
    shown = " | ".join(bad.reason for bad in quarantined[:REASONS_SHOWN])
    count = f"{len(quarantined):,}" if finished else f"already {len(quarantined):,}"
    raise DataError(
        f"{count} of {files:,} files are no whole images: {shown}; expected at most "
        f"{settings.max_bad_fraction:.2%} (data.max_bad_fraction); repair or remove them, or raise it"
    )
