"""Into which split each image goes.

What belongs together, as near-duplicates and groups do, goes to one split: where any of it was before, else where a
hash of it says. A class of three images or more then has one in each split, as far as what belongs together allows.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sanefit.components.dataset_snapshot.distinct import ListedImage
from sanefit.components.dataset_snapshot.split_ledger import most_held_out
from sanefit.components.foundation.image_dataset.splits import split_of
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
    images: Sequence[ListedImage],
    belonging: Belonging,
    known: Mapping[bytes, SplitName],
    settings: DataSettings,
    splits: Sequence[SplitName] = SPLITS,
) -> list[SplitName]:
    """The split of each image.

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
    bundles = [_bundle(members, images, belonging, known, fractions, largest) for members in tied]
    together = {number for members in tied for number in members}
    for number, image in enumerate(images):
        if number not in together:
            before = known.get(image.digest)
            split = before or split_of(image.digest, *fractions)
            bundles.append(_Bundle([number], split, before is None, image.digest, {image.class_name: 1}))
    _fill(bundles, splits)
    split_of_number = {number: bundle.split for bundle in bundles for number in bundle.members}
    return [split_of_number[number] for number in range(len(images))]


def _bundle(
    members: list[int],
    images: Sequence[ListedImage],
    belonging: Belonging,
    known: Mapping[bytes, SplitName],
    fractions: tuple[float, float],
    largest: float,
) -> _Bundle:
    groups = sorted({group for number in members for group in belonging.groups[number]})
    digests = sorted(images[number].digest for number in members)
    before = [known[digest] for digest in (*digests, *groups) if digest in known]
    position = hashlib.sha256(b"together " + (groups or digests)[0]).digest()
    if before:
        split = most_held_out(before)
    elif len(members) > max(FEW, largest):
        split = "train"  # it would be half of what is held out, or more
    else:
        split = split_of(position, *fractions)
    classes = Counter(images[number].class_name for number in members)
    return _Bundle(members, split, not before, position, classes)


def bundles_of(images: Sequence[ListedImage], belonging: Belonging) -> list[bytes]:
    """Of each image the lowest digest of all that it belongs together with; its own where it stands alone."""
    found = [image.digest for image in images]
    for members in _connected([*belonging.near, *_of_one_group(belonging.groups)]):
        lowest = min(found[number] for number in members)
        for number in members:
            found[number] = lowest
    return found


def classes_too_alike(images: Sequence[ListedImage], near: Sequence[tuple[int, int]]) -> set[str]:
    """Classes most of whose images are near-duplicates of each other: they cannot be held together and be split."""
    counts = Counter(image.class_name for image in images)
    largest: Counter[str] = Counter()
    bundles = counts.copy()  # one for each image, but for those that are together
    for members in _connected(near):
        for name, count in Counter(images[number].class_name for number in members).items():
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


def _fill(bundles: Sequence[_Bundle], splits: Sequence[SplitName]) -> None:
    """Give each class an image in each split, out of the splits where it has several."""
    counts: Counter[tuple[str, SplitName]] = Counter()
    of_class: dict[str, list[_Bundle]] = defaultdict(list)
    for bundle in bundles:
        for name, count in bundle.classes.items():
            counts[name, bundle.split] += count
            of_class[name].append(bundle)
    for split in sorted(splits, key=lambda split: split != "train"):
        for name in sorted(of_class):
            if counts[name, split] == 0 and (moved := _spare(of_class[name], counts, needed=split == "train")):
                for moved_name, count in moved.classes.items():
                    counts[moved_name, moved.split] -= count
                    counts[moved_name, split] += count
                moved.split = split


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
