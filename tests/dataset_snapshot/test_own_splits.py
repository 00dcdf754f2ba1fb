"""Splits that the source brings with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError, SettingsError
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference, SplitName
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config

FOLDERS: dict[str, SplitName] = {"train": "train", "val": "validation", "test": "test"}
COUNTS: dict[SplitName, int] = {"train": 12, "validation": 7, "test": 5}


@pytest.fixture
def root(image_folder: Callable[..., Path], tmp_path: Path) -> Path:
    """``train``, ``val`` and ``test`` above the classes, with other images in each."""
    above = tmp_path / "dataset"
    for seed, (folder, split) in enumerate(FOLDERS.items()):
        made = image_folder({"cat": COUNTS[split], "dog": COUNTS[split]}, name=folder, seed=seed)
        shutil.move(made, above / folder) if above.exists() else shutil.copytree(made, above / folder)
    return above


def taken(source: str, tmp_path: Path) -> DatasetReference:
    return take_snapshot(DataSettings(source=source, splits="own"), str(tmp_path / "storage"), Said())


def counts(dataset: DatasetReference) -> dict[SplitName, int]:
    return {split: len(read_split(dataset, split)[1]) for split in SPLITS}


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_folders_decide_the_split_when_asked(name: str, root: Path, tmp_path: Path) -> None:
    (root / "val").rename(root / name)
    dataset = taken(f"folder:{root}", tmp_path)
    assert counts(dataset) == {split: 2 * count for split, count in COUNTS.items()}
    assert read_manifest(dataset).class_names == ["cat", "dog"]


def test_a_column_decides_the_split_when_asked(root: Path, tmp_path: Path) -> None:
    files = sorted(root.rglob("*.png"))
    rows = [f"{path},{path.parent.name},{path.parent.parent.name}" for path in files]
    table = tmp_path / "images.csv"
    table.write_text("\n".join(["path,label,split", *rows]))
    assert counts(taken(f"csv:{table}", tmp_path)) == {split: 2 * count for split, count in COUNTS.items()}


def test_by_default_the_content_decides(root: Path, tmp_path: Path) -> None:
    dataset = take_snapshot(DataSettings(source=f"folder:{root}"), str(tmp_path / "storage"), Said())
    assert sum(counts(dataset).values()) == 2 * COUNTS["train"]  # what lies below train/, split anew


def test_an_image_that_leaked_is_taken_out_of_training(root: Path, tmp_path: Path) -> None:
    leaked = sorted((root / "test" / "cat").iterdir())[:2]
    for path in leaked:
        shutil.copy(path, root / "train" / "cat" / f"copy-{path.name}")
    dataset = taken(f"folder:{root}", tmp_path)
    assert counts(dataset) == {split: 2 * count for split, count in COUNTS.items()}
    assert read_manifest(dataset).duplicates == 2


def test_moving_an_image_to_another_split_makes_another_snapshot(root: Path, tmp_path: Path) -> None:
    before = taken(f"folder:{root}", tmp_path)
    moved = next((root / "train" / "dog").iterdir())
    moved.rename(root / "val" / "dog" / f"moved-{moved.name}")
    assert taken(f"folder:{root}", tmp_path).fingerprint != before.fingerprint


def test_splits_that_are_not_there_are_one_line(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = image_folder({"cat": 9, "dog": 9})
    with pytest.raises(DataError, match="no folder train with class folders"):
        taken(f"folder:{folder}", tmp_path)
    table = tmp_path / "images.csv"
    image = next(folder.rglob("*.png"))
    rows = {"path,label\n": "expected path, label, split", f"path,label,split\n{image},cat,dev\n": "has split 'dev'"}
    for text, said in rows.items():
        table.write_text(text)
        with pytest.raises(DataError, match=said):
            taken(f"csv:{table}", tmp_path)


def test_digits_have_no_splits_of_their_own() -> None:
    with pytest.raises(SettingsError, match=r"data\.splits: digits have no splits"):
        load_config(DEFAULT_CONFIG, ["data.splits=own"])
