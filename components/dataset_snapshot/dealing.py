"""Into which split each image goes.

What belongs together, as near-duplicates and groups do, goes to one split: where any of it was before, else where a
hash of it says. A class of three images or more then has one in each split, as far as what belongs together allows.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.digest_table import Digests, as_rows, digests_in
from sanefit.components.dataset_snapshot.listed_images import ListedImages
from sanefit.components.dataset_snapshot.split_codes import (
    HELD_OUT_FIRST,
    NO_SPLIT,
    Codes,
    DigestSplits,
    code_of,
    codes_by_content,
    split_named,
)
from sanefit.components.foundation.image_dataset.splits import digest_rows, split_of
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, SplitName

FEW = 3  # images of a class, one for each split


@dataclass(frozen=True)
class Belonging:
    """What belongs together. ``near``: pairs of numbers of images. ``groups``: digests of each image's groups."""

    near: Sequence[tuple[int, int]]
    groups: Sequence[Sequence[bytes]]


@dataclass
class _Bundle:
    """Images that belong together, by number. ``fresh``: none of them was in a split before."""

    members: list[int]
    split: SplitName
    fresh: bool
    position: bytes
    classes: Mapping[str, int]


def deal(
    images: ListedImages,
    belonging: Belonging,
    known: DigestSplits,
    settings: DataSettings,
    splits: Sequence[SplitName] = SPLITS,
) -> Codes:
    """The split of each image: int8 (images,).

    Args:
        images: one of each content.
        belonging: what of them belongs together.
        known: the split that an image, or a group, was put in before, by its digest.
        settings: the shares of validation and test.
        splits: those that there are to be; without ``test``, its share is none.
    """
    fractions = (settings.validation_fraction, settings.test_fraction if "test" in splits else 0.0)
    largest = min(fraction for fraction in fractions if fraction) * len(images) / 2
    tied = _connected([*belonging.near, *_of_one_group(belonging.groups)])
    before = known.codes(images.digests)
    fresh = before == NO_SPLIT
    codes = np.where(fresh, codes_by_content(images.digests, *fractions), before)
    of_groups = sorted({group for of_image in belonging.groups for group in of_image})
    group_codes = dict(zip(of_groups, known.codes(digests_in(of_groups)).tolist(), strict=True))
    bundles = [_bundle(members, images, belonging, before, group_codes, fractions, largest) for members in tied]
    alone = np.ones(len(images), dtype=np.bool_)
    for bundle in bundles:
        alone[bundle.members] = False
        codes[bundle.members] = code_of(bundle.split)
    _fill(images, _Dealt(codes, fresh & alone, bundles), splits)
    return codes


def _bundle(
    members: list[int],
    images: ListedImages,
    belonging: Belonging,
    known: Codes,
    group_codes: Mapping[bytes, int],
    fractions: tuple[float, float],
    largest: float,
) -> _Bundle:
    groups = sorted({group for number in members for group in belonging.groups[number]})
    digests = sorted(digest_rows(as_rows(images.digests[members])))
    before = min([*known[members].tolist(), *(group_codes[group] for group in groups)])
    position = hashlib.sha256(b"together " + (groups or digests)[0]).digest()
    if before != NO_SPLIT:
        split = split_named(before)
    elif len(members) > max(FEW, largest):
        split = "train"  # it would be half of what is held out, or more
    else:
        split = split_of(position, *fractions)
    classes = Counter(images.class_name(number) for number in members)
    return _Bundle(members, split, before == NO_SPLIT, position, classes)


def bundles_of(images: ListedImages, belonging: Belonging) -> Digests:
    """Of each image the lowest digest of all that it belongs together with; its own where it stands alone."""
    found = images.digests.copy()
    for members in _connected([*belonging.near, *_of_one_group(belonging.groups)]):
        found[members] = np.sort(found[members])[0]
    return found


def classes_too_alike(images: ListedImages, near: Sequence[tuple[int, int]]) -> set[str]:
    """Classes most of whose images are near-duplicates of each other: they cannot be held together and be split."""
    counts = images.per_class()
    largest: Counter[str] = Counter()
    bundles = counts.copy()  # one for each image, but for those that are together
    for members in _connected(near):
        for name, count in Counter(images.class_name(number) for number in members).items():
            largest[name] = max(largest[name], count)
            bundles[name] -= count - 1
    return {
        name
        for name, count in counts.items()
        if count >= FEW and (bundles[name] < FEW or largest[name] > max(FEW, count / 2))
    }


def _of_one_group(groups: Sequence[Sequence[bytes]]) -> Iterable[tuple[int, int]]:
    first: dict[bytes, int] = {}
    for number, of_image in enumerate(groups):
        for group in of_image:
            yield first.setdefault(group, number), number


def _connected(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Numbers that pairs connect (union-find, path halving); those in no pair are left out."""
    root: dict[int, int] = {}

    def find(number: int) -> int:
        root.setdefault(number, number)
        while root[number] != number:
            root[number] = root[root[number]]
            number = root[number]
        return number

    for one, other in pairs:
        low, high = sorted((find(one), find(other)))
        root[high] = low
    together: dict[int, list[int]] = defaultdict(list)
    for number in sorted(root):
        together[find(number)].append(number)
    return list(together.values())


@dataclass
class _Dealt:
    """``codes``: the split of each image; ``free``: those that belong with no other, and were in no split before."""

    codes: Codes
    free: NDArray[np.bool_]
    bundles: Sequence[_Bundle]

    def of_class(self, images: ListedImages, members: NDArray[np.int64]) -> Iterator[_Bundle]:
        """The bundles of one image each, of a class that has these members."""
        free = members[self.free[members]]
        digests = digest_rows(as_rows(images.digests[free]))
        for number, code, digest in zip(free.tolist(), self.codes[free].tolist(), digests, strict=True):
            yield _Bundle([number], split_named(code), True, digest, {images.class_name(number): 1})


def _fill(images: ListedImages, dealt: _Dealt, splits: Sequence[SplitName]) -> None:
    """Give each class an image in each split, out of the splits where it has several."""
    codes, names = dealt.codes, images.class_names
    by_class = np.argsort(images.labels, kind="stable")
    starts = np.searchsorted(images.labels[by_class], np.arange(len(names) + 1))
    of_kind = np.bincount(images.labels.astype(np.int64) * NO_SPLIT + codes, minlength=len(names) * NO_SPLIT)
    counts = Counter(dict(zip(itertools.product(names, HELD_OUT_FIRST), of_kind.tolist(), strict=True)))
    tied: dict[str, list[_Bundle]] = defaultdict(list)
    for bundle in dealt.bundles:
        for name in bundle.classes:
            tied[name].append(bundle)
    for split in sorted(splits, key=lambda split: split != "train"):
        for label in np.flatnonzero(np.diff(starts)).tolist():
            if counts[names[label], split]:
                continue
            members = by_class[starts[label] : starts[label + 1]]
            bundles = [*tied[names[label]], *dealt.of_class(images, members)]
            if moved := _spare(bundles, counts, needed=split == "train"):
                for name, count in moved.classes.items():
                    counts[name, moved.split] -= count
                    counts[name, split] += count
                moved.split = split
                codes[moved.members] = code_of(split)


def _spare(bundles: Iterable[_Bundle], counts: Mapping[tuple[str, SplitName], int], *, needed: bool) -> _Bundle | None:
    """The smallest one without which all of its classes keep an image in its split; out of training first.

    ``needed``: or any, where there is none of those.
    """
    fresh = [bundle for bundle in bundles if bundle.fresh]
    spare = [
        bundle for bundle in fresh if all(counts[name, bundle.split] > count for name, count in bundle.classes.items())
    ]
    candidates = spare or (fresh if needed else [])
    return min(
        candidates, key=lambda bundle: (bundle.split != "train", len(bundle.members), bundle.position), default=None
    )
