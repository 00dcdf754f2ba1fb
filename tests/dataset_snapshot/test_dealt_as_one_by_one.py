"""Columns of images are dealt, told apart and compared as a loop over single images would."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from columns_by_hand import listed_images, most_held_out
from hypothesis import given, settings
from hypothesis import strategies as st

from sanefit.components.dataset_snapshot import dealing
from sanefit.components.dataset_snapshot.dealing import Belonging, bundles_of
from sanefit.components.dataset_snapshot.digest_table import as_bytes
from sanefit.components.dataset_snapshot.distinct import distinct_images
from sanefit.components.dataset_snapshot.listed_images import ListedImage
from sanefit.components.dataset_snapshot.sequences import NUMBERED, _neighbors, _numbered, _pattern
from sanefit.components.dataset_snapshot.split_codes import HELD_OUT_FIRST, DigestSplits, split_named
from sanefit.components.foundation.image_dataset.splits import split_of
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, SplitName

SETTINGS = DataSettings(source="folder:x")
GROUPS = [bytes([letter]) * 32 for letter in b"abc"]


def digest_of(seed: int) -> bytes:
    return hashlib.sha256(str(seed).encode()).digest()


@dataclass
class Bundle:
    members: list[int]
    split: SplitName
    fresh: bool
    position: bytes
    classes: Mapping[str, int]


def dealt_one_by_one(
    images: Sequence[ListedImage],
    tied: list[list[int]],
    groups: Sequence[Sequence[bytes]],
    known: Mapping[bytes, SplitName],
) -> list[SplitName]:
    """The definition: an object for each bundle, and each image is in one."""
    together = {number for members in tied for number in members}
    bundles = []
    for members in [*tied, *([number] for number in range(len(images)) if number not in together)]:
        digests, of = sorted(images[n].digest for n in members), sorted({g for n in members for g in groups[n]})
        before = [known[one] for one in (*digests, *of) if one in known]
        position = hashlib.sha256(b"together " + (of or digests)[0]).digest() if members[0] in together else digests[0]
        split = most_held_out(before) if before else split_of(position, 0.15, 0.15)
        if not before and len(members) > max(3, 0.15 * len(images) / 2):
            split = "train"
        bundles.append(Bundle(members, split, not before, position, Counter(images[n].class_name for n in members)))
    counts: Counter[tuple[str, SplitName]] = Counter()
    of_class: dict[str, list[Bundle]] = defaultdict(list)
    for bundle in bundles:
        for name, count in bundle.classes.items():
            counts[name, bundle.split] += count
            of_class[name].append(bundle)
    for needed in sorted(SPLITS, key=lambda split: split != "train"):
        for name in sorted(of_class):
            if counts[name, needed] == 0:
                fresh = [one for one in of_class[name] if one.fresh]
                spare = [one for one in fresh if all(counts[c, one.split] > n for c, n in one.classes.items())]
                candidates = spare or (fresh if needed == "train" else [])
                if candidates:
                    moved = min(candidates, key=lambda one: (one.split != "train", len(one.members), one.position))
                    for other, count in moved.classes.items():
                        counts[other, moved.split] -= count
                        counts[other, needed] += count
                    moved.split = needed
    split_of_number = {number: bundle.split for bundle in bundles for number in bundle.members}
    return [split_of_number[number] for number in range(len(images))]


@settings(max_examples=200)
@given(st.data())
def test_images_are_dealt_as_one_by_one(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 40))
    start = data.draw(st.integers(0, 10**6))
    classes = data.draw(st.lists(st.sampled_from(["cat", "dog", "owl", "ü"]), min_size=count, max_size=count))
    images = [ListedImage(digest_of(start + n), name, None, str(n)) for n, name in enumerate(classes)]
    numbers = st.integers(0, count - 1)
    near = data.draw(st.lists(st.tuples(numbers, numbers), max_size=8))
    some = st.sampled_from([(), (), (), (GROUPS[0],), (GROUPS[1],), (GROUPS[0], GROUPS[2])])
    groups = data.draw(st.lists(some, min_size=count, max_size=count))
    known = data.draw(
        st.dictionaries(
            st.sampled_from([*(one.digest for one in images), *GROUPS]), st.sampled_from(SPLITS), max_size=9
        )
    )
    belonging = Belonging(near, groups)
    tied = dealing._connected([*near, *dealing._of_one_group(groups)])
    dealt = dealing.deal(listed_images(images), belonging, DigestSplits(known), SETTINGS)
    assert [split_named(code) for code in dealt.tolist()] == dealt_one_by_one(images, tied, groups, known)
    lowest = {n: min(images[m].digest for m in members) for members in tied for n in members}
    expected = [lowest.get(n, image.digest) for n, image in enumerate(images)]
    assert list(map(as_bytes, bundles_of(listed_images(images), belonging))) == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(["cat", "dog"]), st.sampled_from([*SPLITS, None]), st.booleans()),
        max_size=25,
    )
)
def test_distinct_images_are_those_of_a_loop(drawn: list[tuple[int, str, SplitName | None, bool]]) -> None:
    images = [
        ListedImage(digest_of(seed), name, split, str(n), "broken" * (seed == 6), excluded and seed == 1)
        for n, (seed, name, split, excluded) in enumerate(drawn)
    ]
    copies: dict[bytes, list[int]] = defaultdict(list)
    for number, image in enumerate(images):
        if not image.excluded:
            copies[image.digest].append(number)
    used, conflicts, duplicates = [], [], 0
    for same in copies.values():
        classes = {images[number].class_name for number in same}
        if images[same[0]].broken:
            used += same
        elif len(classes) > 1:
            conflicts.append(sorted(images[number].path for number in same))
        else:
            used.append(min(same, key=lambda number: HELD_OUT_FIRST.index(images[number].split or "train")))
            duplicates += len(same) - 1
    distinct = distinct_images(listed_images(images))
    assert distinct.indices.tolist() == sorted(used)
    assert (distinct.duplicates, [one.paths for one in distinct.conflicts]) == (duplicates, sorted(conflicts))
    several = {tuple(same) for same in copies.values() if len(same) > 1 and set(same) & set(used) and len(same) > 1}
    assert {tuple(same) for same in distinct.copies_of.values()} == {
        same for same in several if not images[same[0]].broken
    }
    listed = listed_images(images)
    assert list(listed) == images
    assert list(listed.per_class().items()) == list(Counter(image.class_name for image in images).items())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a/", "a/", "a/", "b/", "b/x"]),
            st.sampled_from(["", "1", "01", "2", "3", "4", "9" * 25]),
            st.sampled_from(["cat", "cat", "dog"]),
            st.sampled_from(SPLITS),
        ),
        min_size=5,
        max_size=30,
    )
)
def test_neighbors_are_those_of_a_dictionary_of_numbers(drawn: list[tuple[str, str, str, SplitName]]) -> None:
    images = [
        ListedImage(digest_of(n), name, split, f"{before}{number}.png")
        for n, (before, number, name, split) in enumerate(drawn)
    ]
    places: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for place, image in enumerate(images):
        if found := NUMBERED.match(image.path):
            places[image.class_name, found["before"]][int(found["number"])] = place
    expected = [
        [numbers[n], numbers[n + 1]]
        for numbers in places.values()
        for n in numbers
        if n + 1 in numbers and images[numbers[n]].split != images[numbers[n + 1]].split
    ]
    listed = listed_images(images)
    sequences, numbers = _numbered(listed)
    assert _neighbors(sequences, numbers, listed.codes).tolist() == expected
    if images:
        whole = all(Counter(name for name, _ in places)[image.class_name] >= 10 for image in images)
        assert _pattern(listed, sequences).endswith(r"\d+\.[^./]*$") == whole
    assert np.all(sequences >= -1)
