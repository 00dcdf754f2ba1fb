"""Into which split each image goes: no class left out, nothing that belongs together apart, nothing moved."""

import hashlib
import random
from collections import Counter, defaultdict

import pytest
from columns_by_hand import listed_images
from hypothesis import given, settings
from hypothesis import strategies as st

from sanefit.components.dataset_snapshot import dealing
from sanefit.components.dataset_snapshot.dealing import Belonging
from sanefit.components.dataset_snapshot.distinct import require_splits
from sanefit.components.dataset_snapshot.listed_images import ListedImage
from sanefit.components.dataset_snapshot.split_codes import DigestSplits, split_named
from sanefit.components.foundation.image_dataset.splits import split_of
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, SplitName

SETTINGS = DataSettings(source="folder:x")


def image(name: str, class_name: str) -> ListedImage:
    return ListedImage(hashlib.sha256(name.encode()).digest(), class_name, None, name)


def images_of(per_class: dict[str, int], seed: int = 0) -> list[ListedImage]:
    return [image(f"{seed} {name} {number}", name) for name, count in per_class.items() for number in range(count)]


def alone(images: list[ListedImage]) -> Belonging:
    return Belonging([], [()] * len(images))


def deal(images: list[ListedImage], belonging: Belonging, known: dict[bytes, SplitName]) -> list[SplitName]:
    dealt = dealing.deal(listed_images(images), belonging, DigestSplits(known), SETTINGS)
    return [split_named(code) for code in dealt.tolist()]


def classes_too_alike(images: list[ListedImage], near: list[tuple[int, int]]) -> set[str]:
    return dealing.classes_too_alike(listed_images(images), near)


def placed(images: list[ListedImage], splits: list[SplitName]) -> list[ListedImage]:
    return [ListedImage(one.digest, one.class_name, split) for one, split in zip(images, splits, strict=True)]


def test_an_image_alone_goes_where_its_content_says() -> None:
    images = images_of({"cat": 400, "dog": 300})
    splits = deal(images, alone(images), {})
    assert splits == [split_of(one.digest, 0.15, 0.15) for one in images]


@pytest.mark.parametrize("seed", range(200))
def test_no_set_of_classes_of_five_images_and_more_is_refused(seed: int) -> None:
    draw = random.Random(seed)
    images = images_of({f"class {number}": draw.randint(5, 50) for number in range(draw.randint(2, 100))}, seed)
    in_splits = placed(images, deal(images, alone(images), {}))
    require_splits(SETTINGS, listed_images(in_splits))
    found = {(one.class_name, one.split) for one in in_splits}
    assert found == {(one.class_name, split) for one in images for split in SPLITS}


@given(st.lists(st.integers(3, 6), min_size=2, max_size=30), st.integers(0, 10**6))
def test_a_class_of_three_has_one_image_in_each_split(counts: list[int], seed: int) -> None:
    images = images_of({str(number): count for number, count in enumerate(counts)}, seed)
    found = {(one.class_name, one.split) for one in placed(images, deal(images, alone(images), {}))}
    assert len(found) == len(counts) * len(SPLITS)


@settings(max_examples=200)
@given(st.data())
def test_what_belongs_together_is_in_one_split(data: st.DataObject) -> None:
    images = images_of({"cat": 30, "dog": 30}, data.draw(st.integers(0, 1000)))
    numbers = st.integers(0, len(images) - 1)
    near = data.draw(st.lists(st.tuples(numbers, numbers), max_size=20))
    some = st.sampled_from([(), (b"a" * 32,), (b"b" * 32,), (b"a" * 32, b"c" * 32)])
    groups = data.draw(st.lists(some, min_size=60, max_size=60))
    splits = deal(images, Belonging(near, groups), {})
    assert all(splits[one] == splits[other] for one, other in near)
    for group in (b"a" * 32, b"b" * 32, b"c" * 32):
        assert len({split for split, of in zip(splits, groups, strict=True) if group in of}) <= 1


@pytest.mark.parametrize("seed", range(50))
def test_groups_never_cross_splits_and_every_class_can_be_judged(seed: int) -> None:
    """Of patients of 1 to 12 images, three and more for each class."""
    draw = random.Random(seed)
    images, groups = [], []
    for label in range(draw.randint(2, 10)):
        for patient in range(draw.randint(3, 15)):
            for number in range(draw.randint(1, 12)):
                images.append(image(f"{seed} {label} {patient} {number}", str(label)))
                groups.append((hashlib.sha256(f"{label} {patient}".encode()).digest(),))
    splits = deal(images, Belonging([], groups), {})
    of_group: dict[bytes, set[str]] = defaultdict(set)
    for (group,), split in zip(groups, splits, strict=True):
        of_group[group].add(split)
    assert all(len(found) == 1 for found in of_group.values())
    found = {(one.class_name, one.split) for one in placed(images, splits)}
    assert len(found) == len({one.class_name for one in images}) * len(SPLITS)


@given(st.dictionaries(st.integers(0, 59), st.sampled_from(SPLITS), max_size=40))
def test_an_image_stays_where_it_was(before: dict[int, SplitName]) -> None:
    images = images_of({"cat": 30, "dog": 30})
    known = {images[number].digest: split for number, split in before.items()}
    splits = deal(images, alone(images), known)
    assert all(splits[number] == split for number, split in before.items())


def test_copies_of_what_was_held_out_are_held_out_too() -> None:
    images = images_of({"cat": 30, "dog": 30})
    held_out = next(number for number, split in enumerate(deal(images, alone(images), {})) if split == "train")
    known: dict[bytes, SplitName] = {images[held_out].digest: "test", images[5].digest: "train"}
    splits = deal(images, Belonging([(held_out, 20), (20, 5)], [()] * 60), known)
    assert splits[held_out] == splits[20] == splits[5] == "test"


def test_a_new_image_of_a_known_group_joins_it() -> None:
    images, group = images_of({"cat": 30, "dog": 30}), b"g" * 32
    groups = [(group,) if number == 7 else () for number in range(60)]
    for split in SPLITS:
        assert deal(images, Belonging([], groups), {group: split})[7] == split


def test_copies_that_would_fill_what_is_held_out_are_trained_on() -> None:
    images = images_of({"cat": 100, "dog": 100})
    near = [(0, number) for number in range(1, 40)]
    counts = Counter(deal(images, Belonging(near, [()] * 200), {})[:40])
    assert counts == {"train": 40}


def test_a_class_of_copies_alone_is_too_alike_to_be_held_together() -> None:
    images = images_of({"cat": 10, "dog": 10})
    chain = [(number, number + 1) for number in range(9)]
    assert classes_too_alike(images, chain) == {"cat"}
    assert classes_too_alike(images, [(0, 1), (2, 3)]) == set()
