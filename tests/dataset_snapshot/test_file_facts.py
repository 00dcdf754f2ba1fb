"""What files tell besides their pixels is kept, image by image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.file_facts import read_file_facts
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split, snapshot_folder
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference

ImageFolder = Callable[..., Path]


def snapshot_of(source: str, storage: Path) -> DatasetReference:
    return take_snapshot(DataSettings(source=source, image_size=5), str(storage), Said(), 1)


def test_facts_are_those_of_each_images_file(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder({"cat": 12, "dog": 12, "emu": 12}, size=(5, 5))
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        image = Image.open(path).resize((5 + number, 7), Image.Resampling.NEAREST)
        path.unlink()
        image.save(path if number % 3 else path.with_suffix(".bmp"))
    dataset = snapshot_of(f"folder:{root}", tmp_path / "storage")
    manifest = read_manifest(dataset)
    assert manifest.file_formats == ["BMP", "PNG"]
    expected = set()
    for path in sorted(root.rglob("*.*")):
        with Image.open(path) as image:
            format_ = ["BMP", "PNG"].index(str(image.format))
            expected.add((path.parent.name, path.stat().st_size, image.width, image.height, format_))
    found = set()
    for split in SPLITS:
        facts = read_file_facts(dataset, split, manifest)
        assert facts is not None
        _, labels = read_split(dataset, split)
        found |= {
            (manifest.class_names[label], *map(int, row)) for label, row in zip(labels.tolist(), facts, strict=True)
        }
    assert found == expected


def test_a_source_of_pixels_has_none(tmp_path: Path) -> None:
    dataset = take_snapshot(DataSettings(source="digits"), str(tmp_path / "storage"), Said(), 1)
    manifest = read_manifest(dataset)
    assert manifest.file_formats == []
    assert read_file_facts(dataset, "train", manifest) is None


def test_parts_of_an_earlier_version_leave_facts_unknown(image_folder: ImageFolder, tmp_path: Path) -> None:
    root, storage = image_folder({"cat": 12, "dog": 12}), tmp_path / "storage"
    snapshot_of(f"folder:{root}", storage)
    for file in storage.rglob("images.npz"):
        with np.load(file) as arrays:
            kept = {name: arrays[name] for name in arrays if not name.endswith(("_bytes", "_formats"))}
        np.savez(file, **kept)
    dataset = snapshot_of(f"folder:{image_folder({'cat': 14, 'dog': 14})}", storage)
    assert read_file_facts(dataset, "train", read_manifest(dataset)) is None


def test_a_damaged_file_is_said(image_folder: ImageFolder, tmp_path: Path) -> None:
    dataset = snapshot_of(f"folder:{image_folder({'cat': 12, 'dog': 12})}", tmp_path / "storage")
    [file] = Path(snapshot_folder(dataset)).glob("train.facts-*.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DataError, match="facts"):
        read_file_facts(dataset, "train", read_manifest(dataset))
