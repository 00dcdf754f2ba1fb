"""What a snapshot's images are called."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.image_dataset.image_names import NAMES_FILE, keep_names, read_names
from sanefit.components.foundation.image_dataset.shards import snapshot_folder
from sanefit.components.foundation.schemas.images import DatasetReference

ANY_NAME = st.binary(max_size=20).map(os.fsdecode)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetReference:
    return DatasetReference(storage=str(tmp_path_factory.mktemp("names")), fingerprint="f" * 64)


@given(st.lists(ANY_NAME), st.lists(ANY_NAME))
def test_names_come_back_as_the_system_gave_them(
    dataset: DatasetReference, train: list[str], validation: list[str]
) -> None:
    keep_names(dataset, {"train": train, "validation": validation})
    for split, names in (("train", train), ("validation", validation)):
        found = read_names(dataset, split)  # type: ignore[arg-type]
        assert found is not None
        assert [found[number] for number in range(len(found))] == names


def test_the_same_names_are_written_once(dataset: DatasetReference) -> None:
    keep_names(dataset, {"train": ["a"]})
    file = Path(snapshot_folder(dataset), NAMES_FILE)
    written = file.stat().st_ino
    keep_names(dataset, {"train": ["a"]})
    assert file.stat().st_ino == written
    keep_names(dataset, {"train": ["b"]})
    assert file.stat().st_ino != written


def test_a_damaged_file_is_said_and_an_absent_one_is_none(tmp_path: Path) -> None:
    dataset = DatasetReference(storage=str(tmp_path), fingerprint="f" * 64)
    assert read_names(dataset, "train") is None
    file = Path(snapshot_folder(dataset), NAMES_FILE)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PK nothing")
    with pytest.raises(StorageError, match="is damaged"):
        read_names(dataset, "train")
