"""A snapshot whose pixels `sanefit gc` has removed is written again as it was."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split, snapshot_folder
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference
from sanefit.components.foundation.storage.collection import collect
from sanefit.components.foundation.storage.disposable import Disposable, Needed, find_disposable
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.listed_files import list_tree


def find(storage: Path, used_since: float = 1.0) -> list[Disposable]:
    return find_disposable(Storage(str(storage)), Needed(), used_since).found


def let_all_grow_old(storage: Path) -> None:
    for path in storage.rglob("*"):
        os.utime(path, (0, 0))


def content(dataset: DatasetReference) -> list[tuple[bytes, bytes]]:
    read = (read_split(dataset, split) for split in SPLITS)
    return [(pixels.tobytes(), labels.tobytes()) for pixels, labels in read]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


def test_pixels_that_came_in_two_parts_come_back_in_one(image_folder: Callable[..., Path], storage: Path) -> None:
    source = image_folder({"cat": 20, "dog": 20})
    settings = DataSettings(source=f"folder:{source}")
    first = take_snapshot(settings, str(storage), Said())
    image_folder({"cat": 30, "dog": 30}, seed=0)
    second = take_snapshot(settings, str(storage), Said())
    known = content(second)
    ledger = {file.path: (storage / "splits" / file.path).read_bytes() for file in list_tree(str(storage / "splits"))}
    assert len({shard.path.rpartition("/")[0] for shard in read_manifest(second).shards}) == 2

    let_all_grow_old(storage)
    assert len(collect(find(storage), lambda: find(storage))) == 2
    assert list_tree(str(storage / "decoded")) == []

    again = take_snapshot(settings, str(storage), said := Said())
    assert again == second != first
    assert content(again) == known
    assert not any("is there already" in line for line in said)
    assert len({shard.path.rpartition("/")[0] for shard in read_manifest(again).shards}) == 1
    assert ledger == {path: (storage / "splits" / path).read_bytes() for path in ledger}
    assert take_snapshot(settings, str(storage), said := Said()) == second
    assert any("is there already" in line for line in said)


def test_opening_a_split_is_a_use(storage: Path) -> None:
    dataset = take_snapshot(DataSettings(), str(storage), Said())
    let_all_grow_old(storage)
    assert len(find(storage)) == 1
    read_split(dataset, "train")
    assert find(storage) == []
    assert Path(snapshot_folder(dataset), "last-use").is_file()


def test_a_snapshot_that_is_taken_while_its_pixels_go_reads_them_again(storage: Path) -> None:
    settings = DataSettings()
    dataset = take_snapshot(settings, str(storage), Said())
    known = content(dataset)
    let_all_grow_old(storage)
    taken: list[DatasetReference] = []
    other = threading.Thread(target=lambda: taken.append(take_snapshot(settings, str(storage), Said())))

    def a_snapshot_begins() -> list[Disposable]:
        other.start()
        return find(storage)

    collect(find(storage), a_snapshot_begins)
    other.join()
    assert taken == [dataset]
    assert content(dataset) == known


def test_numbers_of_rows_are_those_of_the_new_parts(image_folder: Callable[..., Path], storage: Path) -> None:
    source = image_folder({"cat": 12, "dog": 12})
    settings = DataSettings(source=f"folder:{source}")
    dataset = take_snapshot(settings, str(storage), Said())
    let_all_grow_old(storage)
    collect(find(storage), lambda: find(storage))
    take_snapshot(settings, str(storage), Said())
    images, labels = read_split(dataset, "train")
    assert len(images) == len(labels) == sum(read_manifest(dataset).images_per_class["train"].values())
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
