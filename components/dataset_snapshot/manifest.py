"""Write down which images a snapshot holds, and what of its source it does not."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages
from sanefit.components.dataset_snapshot.distinct import Distinct, ListedImage, storage_order
from sanefit.components.dataset_snapshot.file_facts import formats_of, write_file_facts
from sanefit.components.dataset_snapshot.rows_by_shard import rows_by_shard
from sanefit.components.dataset_snapshot.splitting import ImagesInSplits
from sanefit.components.dataset_snapshot.unusual_images import unusual_images
from sanefit.components.foundation.image_dataset.image_names import name_in_source
from sanefit.components.foundation.image_dataset.shards import DIGEST
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.schemas.images import (
    SPLITS,
    ExcludedImage,
    ImageSize,
    LabelConflict,
    Manifest,
    NearDuplicate,
    PassedOver,
    QuarantinedFile,
    Shard,
    SplitIndex,
    SplitName,
    UnusualImage,
    leaks,
)

SIZES = 10
EXAMPLES = 24  # pictures, or pairs of them, that the page can show


@dataclass(frozen=True)
class Found:
    """What was found in a source."""

    listing: SourceListing
    distinct: Distinct
    quarantined: list[QuarantinedFile]
    excluded: list[ExcludedImage]
    placed: ImagesInSplits


def write_indices(fingerprint: str, found: Found, decoded: DecodedImages, folder: Path) -> Manifest:
    """Write each split's index; the images of a split are in the order of their digests.

    That is a shuffled order, and the same whatever the source's order, and wherever the pixels lie.

    Returns:
        The manifest, which is still to be written.
    """
    images, shards = found.placed.images, _Shards(decoded)
    class_names = sorted({image.class_name for image in images})
    shards.take(sorted(image.digest for image in images))
    row_of = _index_rows(found.placed, class_names, shards)
    splits: dict[SplitName, SplitIndex] = {}
    counts: dict[SplitName, dict[str, int]] = {}
    formats = formats_of(images, decoded)
    for split in SPLITS:
        members = members_of(images, split)
        index = _write_index(folder / f"{split}.index.npy", [row_of[image.digest] for image in members])
        splits[split] = index.model_copy(update=write_file_facts(folder, split, members, formats, decoded))
        per_class = Counter(image.class_name for image in members)
        counts[split] = {name: per_class[name] for name in class_names}
    conflicts = found.distinct.conflicts
    shape = _shape(images, decoded)
    sizes, modes = _sizes_and_modes(images, decoded)
    shown = {one.digest for one in conflicts[:EXAMPLES] if _can_be_shown(one.digest, shape, decoded)}
    shards.take(sorted(shown))
    return Manifest(
        fingerprint=fingerprint,
        class_names=class_names,
        image_shape=shape,
        images_per_class=counts,
        passed_over=passed_over(found.listing),
        duplicates=found.distinct.duplicates,
        near_duplicates=len(found.placed.near),
        near_leaks=sum(_leaks(found.placed, pair) for pair in found.placed.near),
        near_examples=_near_examples(found.placed, shards),
        label_conflicts=[
            LabelConflict(
                paths=one.paths,
                class_names=one.class_names,
                place=shards.place(one.digest) if one.digest in shown else None,
            )
            for one in conflicts
        ],
        quarantined=found.quarantined,
        excluded=found.excluded,
        unusual=[
            UnusualImage(
                path=images[number].path,
                class_name=images[number].class_name,
                what=what,
                place=shards.place(images[number].digest),
            )
            for number, what in unusual_images(decoded.thumbnails_of([image.digest for image in images]))
        ],
        sizes=[
            ImageSize(width=width, height=height, images=count) for (width, height), count in sizes.most_common(SIZES)
        ],
        different_sizes=len(sizes),
        modes=dict(modes.most_common()),
        file_formats=formats,
        splits=splits,
        shards=shards.listed,
    )


def members_of(images: Sequence[ListedImage], split: SplitName) -> list[ListedImage]:
    """The images of a split, in the order of its index."""
    return sorted((image for image in images if image.split == split), key=storage_order)


def names_of(images: Sequence[ListedImage], source: str) -> dict[SplitName, list[str]]:
    """What the images of each split are called in ``data.source``, in the order of its index."""
    return {split: [name_in_source(source, image.path) for image in members_of(images, split)] for split in SPLITS}


def _index_rows(placed: ImagesInSplits, class_names: Sequence[str], shards: "_Shards") -> dict[bytes, tuple[int, ...]]:
    """What an index says of each image, by its digest; in the order of the columns of ``read_index``."""
    label_of = {name: label for label, name in enumerate(class_names)}
    number_of = {bundle: number for number, bundle in enumerate(sorted(set(placed.bundles)))}
    return {
        image.digest: (
            *shards.place(image.digest),
            label_of[image.class_name],
            number_of[bundle],
            int.from_bytes(image.digest[:8], "little", signed=True),
        )
        for image, bundle in zip(placed.images, placed.bundles, strict=True)
    }


def _write_index(path: Path, rows: Sequence[tuple[int, ...]]) -> SplitIndex:
    np.save(path, np.array(rows, dtype=np.int64).reshape(-1, DIGEST + 1))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return SplitIndex(images=len(rows), index_file=path.name, index_sha256=digest)


def passed_over(listing: SourceListing) -> list[PassedOver]:
    """Files of a source that are not taken; the most frequent reason first."""
    return [
        PassedOver(reason=reason, files=files, example=listing.example_of[reason])
        for reason, files in listing.passed_over.most_common()
    ]


class _Shards:
    """Those that a snapshot names, and the place of an image among them."""

    def __init__(self, decoded: DecodedImages) -> None:
        self._decoded = decoded
        self._numbers: dict[int, int] = {}
        self.listed: list[Shard] = []

    def take(self, digests: Sequence[bytes]) -> None:
        for shard in sorted({self._decoded.place_of[digest][0] for digest in digests} - set(self._numbers)):
            self._numbers[shard] = len(self.listed)
            self.listed.append(self._decoded.shards[shard])

    def place(self, digest: bytes) -> tuple[int, int]:
        shard, row = self._decoded.place_of[digest]
        return self._numbers[shard], row


def _shape(images: Sequence[ListedImage], decoded: DecodedImages) -> tuple[int, int, int]:
    """One channel when all images are gray."""
    shapes = {decoded.shapes[decoded.place_of[image.digest][0]] for image in images}
    return max(shapes, key=lambda shape: shape[2])


def _sizes_and_modes(
    images: Sequence[ListedImage], decoded: DecodedImages
) -> tuple[Counter[tuple[int, int]], Counter[str]]:
    """How many images there are of each width and height, and of each mode."""
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    for shard, _, rows in rows_by_shard(decoded.place_of, [image.digest for image in images]):
        sizes.update(map(tuple, decoded.sizes[shard][rows].tolist()))
        modes.update(decoded.modes[shard][rows].tolist())
    return sizes, modes


def _can_be_shown(digest: bytes, shape: tuple[int, int, int], decoded: DecodedImages) -> bool:
    """Whether an image of no class can be read beside the others: of their size, and not colored among gray ones."""
    if digest not in decoded.place_of:
        return False
    height, width, channels = decoded.shapes[decoded.place_of[digest][0]]
    return (height, width) == shape[:2] and channels <= shape[2]


def _leaks(placed: ImagesInSplits, pair: tuple[int, int]) -> bool:
    return leaks(placed.images[number].split for number in pair)


def _near_examples(placed: ImagesInSplits, shards: _Shards) -> list[NearDuplicate]:
    """Those of several classes first, then those of which one is trained on."""

    def order(pair: tuple[int, int]) -> tuple[bool, bool]:
        one, other = (placed.images[number].class_name for number in pair)
        return one == other, not _leaks(placed, pair)

    found = []
    for pair in sorted(placed.near, key=order)[:EXAMPLES]:
        one, other = (placed.images[number] for number in pair)
        assert one.split is not None
        assert other.split is not None
        found.append(
            NearDuplicate(
                paths=(one.path, other.path),
                class_names=(one.class_name, other.class_name),
                splits=(one.split, other.split),
                places=(shards.place(one.digest), shards.place(other.digest)),
            )
        )
    return found
