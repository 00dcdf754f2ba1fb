"""Write down which images a snapshot holds, and what of its source it does not."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.decoded_images import DecodedImages, Places
from sanefit.components.dataset_snapshot.digest_table import as_rows, digests_in
from sanefit.components.dataset_snapshot.distinct import Distinct, storage_order
from sanefit.components.dataset_snapshot.file_facts import formats_of, write_file_facts
from sanefit.components.dataset_snapshot.listed_images import ListedImages, Numbers
from sanefit.components.dataset_snapshot.rows_by_shard import rows_by_shard
from sanefit.components.dataset_snapshot.split_codes import code_of
from sanefit.components.dataset_snapshot.splitting import ImagesInSplits
from sanefit.components.dataset_snapshot.unusual_images import unusual_images
from sanefit.components.foundation.image_dataset.image_names import name_in_source
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
    places = decoded.places(images.digests)
    class_names = sorted(images.per_class())
    shards.take(places)
    rows = _index_rows(found.placed, class_names, shards, places)
    splits: dict[SplitName, SplitIndex] = {}
    counts: dict[SplitName, dict[str, int]] = {}
    formats = formats_of(places, decoded)
    for split in SPLITS:
        members = members_of(images, split)
        index = _write_index(folder / f"{split}.index.npy", rows[members])
        splits[split] = index.model_copy(update=write_file_facts(folder, split, places[members], formats, decoded))
        per_class = images.chosen(members).per_class()
        counts[split] = {name: per_class[name] for name in class_names}
    del rows
    conflicts = found.distinct.conflicts
    shape = max((decoded.shapes[shard] for shard in np.unique(places[:, 0]).tolist()), key=lambda shape: shape[2])
    sizes, modes = _sizes_and_modes(places, decoded)
    shown = {one.digest for one in conflicts[:EXAMPLES] if _can_be_shown(one.digest, shape, decoded)}
    shards.take(decoded.places(digests_in(sorted(shown))))
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
                path=images.path(number),
                class_name=images.class_name(number),
                what=what,
                place=shards.place(images[number].digest),
            )
            for number, what in unusual_images(decoded.thumbnails_of(images.digests))
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


def members_of(images: ListedImages, split: SplitName) -> Numbers:
    """The numbers of a split's images, in the order of its index."""
    members = np.flatnonzero(images.codes == code_of(split))
    ordered: Numbers = members[storage_order(images.chosen(members))]
    return ordered


def names_of(images: ListedImages, source: str) -> dict[SplitName, Iterable[str]]:
    """What the images of each split are called in ``data.source``, in the order of its index."""
    return {
        split: (name_in_source(source, images.path(number)) for number in members_of(images, split).tolist())
        for split in SPLITS
    }


def _index_rows(
    placed: ImagesInSplits, class_names: Sequence[str], shards: "_Shards", places: Places
) -> NDArray[np.int64]:
    """What an index says of each image: int64 (images, columns), in the order of the columns of ``read_index``."""
    labels = np.searchsorted(np.array(class_names), np.array(placed.images.class_names))
    _, bundles = np.unique(placed.bundles, return_inverse=True)
    starts = as_rows(placed.images.digests)[:, :8].copy().view("<i8")[:, 0]
    return np.column_stack([shards.renumbered(places), labels[placed.images.labels], bundles, starts])


def _write_index(path: Path, rows: NDArray[np.int64]) -> SplitIndex:
    np.save(path, rows)
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

    def take(self, places: Places) -> None:
        for shard in sorted(set(np.unique(places[:, 0]).tolist()) - set(self._numbers)):
            self._numbers[shard] = len(self.listed)
            self.listed.append(self._decoded.shards[shard])

    def renumbered(self, places: Places) -> Places:
        """Places in the files that the snapshot names."""
        numbers = np.zeros(len(self._decoded.shards), dtype=np.int64)
        numbers[list(self._numbers)] = list(self._numbers.values())
        return np.column_stack([numbers[places[:, 0]], places[:, 1]])

    def place(self, digest: bytes) -> tuple[int, int]:
        shard, row = self.renumbered(self._decoded.places(digests_in([digest])))[0].tolist()
        return shard, row


def _sizes_and_modes(places: Places, decoded: DecodedImages) -> tuple[Counter[tuple[int, int]], Counter[str]]:
    """How many images there are of each width and height, and of each mode, in the order in which they come."""
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    for shard, _, rows in rows_by_shard(places):
        sizes.update({(width, height): count for (width, height), count in _counted(decoded.sizes[shard][rows])})
        modes.update(dict(_counted(decoded.modes[shard][rows])))
    return sizes, modes


def _counted(values: NDArray[Any]) -> Iterator[tuple[Any, int]]:
    found, first, counts = np.unique(values, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    return zip(found[order].tolist(), counts[order].tolist(), strict=True)


def _can_be_shown(digest: bytes, shape: tuple[int, int, int], decoded: DecodedImages) -> bool:
    """Whether an image of no class can be read beside the others: of their size, and not colored among gray ones."""
    [shard] = decoded.places(digests_in([digest]))[:, 0].tolist()
    if shard < 0:
        return False
    height, width, channels = decoded.shapes[shard]
    return (height, width) == shape[:2] and channels <= shape[2]


def _leaks(placed: ImagesInSplits, pair: tuple[int, int]) -> bool:
    return leaks(placed.images.split(number) for number in pair)


def _near_examples(placed: ImagesInSplits, shards: _Shards) -> list[NearDuplicate]:
    """Those of several classes first, then those of which one is trained on."""

    def order(pair: tuple[int, int]) -> tuple[bool, bool]:
        one, other = (placed.images.class_name(number) for number in pair)
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
