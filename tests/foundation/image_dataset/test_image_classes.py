"""Where the class of an image stands in its path, as ``data.class_from`` says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stored_files import pngs

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.image_dataset.sources.class_folders import Entries
from sanefit.components.foundation.image_dataset.sources.image_classes import with_class
from sanefit.components.foundation.image_dataset.sources.source_image import SourceListing
from sanefit.components.foundation.schemas.data_settings import DataSettings

NESTED = ["animals/cat/1.png", "animals/dog/2.png", "plants/rose/3.png", "plants/rose/red/4.png"]
KAGGLE = ["train/cat.1.jpg", "train/dog.2.jpg", "test1/3.jpg", "readme.txt"]
OF_FILE = "pattern:(cat|dog)[.]"


def classes(names: list[str], class_from: str) -> tuple[dict[str, str], SourceListing]:
    """The class of each file that is taken, and what is said of the rest."""
    listing = SourceListing()
    found = with_class(Entries(names), listing, folders="classes", class_from=class_from)
    return {name: class_name for name, class_name, _ in found}, listing


@pytest.mark.parametrize(
    ("class_from", "expected"),
    [
        ("", ["animals", "animals", "plants", "plants"]),
        ("folder:1", ["cat", "dog", "rose", "red"]),
        ("folder:2", ["animals", "animals", "plants", "rose"]),
        ("pattern:^[^/]+/([^/]+)", ["cat", "dog", "rose", "rose"]),
        ("pattern:[0-9]", ["1", "2", "3", "4"]),
    ],
)
def test_a_nested_folder_is_a_class_as_the_rule_says(class_from: str, expected: list[str]) -> None:
    found, listing = classes(NESTED, class_from)
    assert found == dict(zip(NESTED, expected, strict=True))
    assert not listing.passed_over


def test_the_class_may_stand_in_the_name_of_the_file() -> None:
    found, listing = classes(KAGGLE, OF_FILE)
    assert found == {"train/cat.1.jpg": "cat", "train/dog.2.jpg": "dog"}
    assert listing.passed_over == {"beside train": 1, "no picture (.txt)": 1}


def test_splits_of_the_source_stand_above_the_rest() -> None:
    names = ["set/train/x/cat.1.png", "set/train/x/dog.1.png", "set/val/cat.2.png", "set/val/y/z/dog.2.png"]
    found = list(with_class(Entries(names), SourceListing(), folders="own_splits", class_from=OF_FILE))
    assert [(class_name, split) for _, class_name, split in found] == [
        ("cat", "train"),
        ("dog", "train"),
        ("cat", "validation"),
        ("dog", "validation"),
    ]


def test_files_without_a_class_are_counted() -> None:
    found, listing = classes([*NESTED, "animals/5.png", "6.png"], "folder:2")
    assert len(found) == 4
    assert listing.passed_over == {"no class by data.class_from=folder:2": 2}


def test_no_class_at_all_is_an_error_that_shows_a_path() -> None:
    with pytest.raises(DataError) as raised:
        classes(NESTED, "pattern:lion")
    assert all(word in str(raised.value) for word in ("data.class_from='pattern:lion'", "animals/", "correct it"))


parts = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


@given(st.lists(parts, min_size=1, max_size=8), st.integers(1, 4))
def test_the_level_counts_from_the_file(folders: list[list[str]], level: int) -> None:
    names = [f"{'/'.join(parts)}/{number}.png" for number, parts in enumerate(folders)]
    tops = {parts[0] for parts in folders}
    around = len(tops) == 1 and all(len(p) > 1 for p in folders) and len({parts[1] for parts in folders}) > 1
    below = [parts[1:] if around else parts for parts in folders]
    expected = {name: p[-level] for name, p in zip(names, below, strict=True) if len(p) >= level}
    if expected:
        assert classes(names, f"folder:{level}")[0] == expected
    else:
        with pytest.raises(DataError):
            classes(names, f"folder:{level}")


def test_a_snapshot_takes_the_classes_of_the_rule(tmp_path: Path) -> None:
    for number, content in enumerate(pngs(40, 1).values()):
        file = tmp_path / "images" / f"site{number % 2}" / f"{('cat', 'dog')[number % 4 < 2]}_{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    settings = DataSettings(source=f"folder:{tmp_path / 'images'}", class_from="pattern:(cat|dog)_[0-9]+")
    assert read_manifest(take_snapshot(settings, str(tmp_path / "storage"), print)).class_names == ["cat", "dog"]


@pytest.mark.parametrize("value", ["", "folder:0", "folder:x", "pattern:", "pattern:(", "column:label", "label"])
def test_any_other_rule_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="expected folder:LEVEL"):
        DataSettings(source="folder:x", class_from=value)


@pytest.mark.parametrize(
    "source", ["digits", "csv:t.csv", "parquet:t.parquet", "webdataset:x.tar", "torchvision:CIFAR10"]
)
def test_a_source_that_says_the_classes_takes_no_rule(source: str) -> None:
    with pytest.raises(ValidationError, match="says each image's class itself"):
        DataSettings(source=source, class_from="folder:1")
