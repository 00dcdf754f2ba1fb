"""The same images give the same snapshot, however they are packed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from packed_images import Labeled, embedded, write_embedded, write_shards
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference, SplitName

Pack = Callable[[Path, Labeled, str], str]
FOLDERS = ("train", "val", "test")


def as_shards(folder: Path, images: Labeled, split: str) -> str:
    write_shards(folder, images, 16, name=split)
    return f"webdataset:{folder}"


def as_parquet(folder: Path, images: Labeled, split: str) -> str:
    return write_embedded(folder, images, files=3, name=split, class_names=["dog", "cat"], group=7)


def labeled(folder: Path) -> Labeled:
    return [(path.parent.name, path.read_bytes()) for path in sorted(folder.rglob("*.png"))]


def snapshot_of(source: str, storage: Path, *, own: bool = False) -> DatasetReference:
    return take_snapshot(DataSettings(source=source, splits="own" if own else "by_content"), str(storage), Said())


@pytest.mark.parametrize("pack", [as_shards, as_parquet])
def test_packed_images_give_the_snapshot_of_their_folder(
    pack: Pack, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = image_folder({"cat": 40, "dog": 30})
    expected = snapshot_of(f"folder:{root}", tmp_path / "storage")
    source = pack(tmp_path / "packed", labeled(root), "train")
    for storage in ("storage", "another"):
        found = snapshot_of(source, tmp_path / storage)
        assert found.fingerprint == expected.fingerprint
        assert read_manifest(found).class_names == ["cat", "dog"]
        for split in SPLITS:
            for one, other in zip(read_split(found, split), read_split(expected, split), strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pack", [as_shards, as_parquet])
def test_own_splits_give_the_snapshot_of_their_folders(
    pack: Pack, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    counts: dict[SplitName, int] = {}
    for seed, (folder, split) in enumerate(zip(FOLDERS, SPLITS, strict=True)):
        part = image_folder({"cat": 9 - seed, "dog": 8}, name=f"images/{folder}", seed=seed)
        counts[split] = 17 - seed
        source = pack(tmp_path / "packed", labeled(part), folder)
    expected = snapshot_of(f"folder:{tmp_path / 'images'}", tmp_path / "storage", own=True)
    found = snapshot_of(source, tmp_path / "another", own=True)
    assert found.fingerprint == expected.fingerprint
    assert {split: len(read_split(found, split)[1]) for split in SPLITS} == counts


@pytest.mark.parametrize("pack", [as_shards, as_parquet])
def test_a_second_snapshot_reads_nothing(pack: Pack, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    source = pack(tmp_path / "packed", labeled(image_folder({"cat": 30, "dog": 30})), "train")
    first, said = snapshot_of(source, tmp_path / "storage"), Said()
    assert take_snapshot(DataSettings(source=source), str(tmp_path / "storage"), said) == first
    assert "is there already" in said[0]


def test_a_row_without_an_image_is_quarantined(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    images = [*labeled(image_folder({"cat": 30, "dog": 30})), ("cat", b"")]
    source = write_embedded(tmp_path / "packed", images, files=1)
    dataset = take_snapshot(DataSettings(source=source, max_bad_fraction=0.1), str(tmp_path / "storage"), Said())
    [bad] = read_manifest(dataset).quarantined
    assert bad.path == "train-00000-of-00001.parquet/0060.png"


@pytest.mark.slow
def test_a_row_group_need_not_fit_into_memory(tmp_path: Path) -> None:
    """400 MB of images in one row group, within half of that."""
    random, path = np.random.default_rng(0), tmp_path / "x.parquet"
    images = [("cat", random.bytes(10_000)) for _ in range(40_000)]
    pq.write_table(embedded(images, ["cat"]), path, row_group_size=len(images))
    del images
    code = f"""
from pathlib import Path
from sanefit.components.foundation.image_dataset.sources.listing import list_source
def most():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1])
images = list_source("parquet:{path}", Path("{tmp_path}")).images
before = most()
total = sum(len(image.location.read()) for image in images)
print(total, most() - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    total, kilobytes = map(int, run.stdout.split())
    assert total == 400_000_000
    assert kilobytes < 200_000
