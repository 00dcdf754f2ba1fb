"""torchvision's own data sets, from files as torchvision would download them."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from listed_sources import read_all
from numpy.typing import NDArray
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.image_dataset.sources import torchvision_dataset
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS

COUNTS = {"train": 60, "t10k": 30}


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """FashionMNIST's files in its own format, with images of ours."""
    raw = tmp_path / "datasets" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    random, parts = np.random.default_rng(0), {}
    for part, count in COUNTS.items():
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
        parts[part] = images, labels
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torchvision_dataset._opened.cache_clear()
    return parts


def test_the_images_and_classes_are_those_of_the_data_set(
    mnist: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> None:
    images = read_all("torchvision:FashionMNIST")
    expected, labels = mnist["train"]
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    assert [image.class_name for image in images] == [names[label] for label in labels]
    for image, pixels in zip(images, expected, strict=True):
        with Image.open(io.BytesIO(image.content)) as opened:
            np.testing.assert_array_equal(np.asarray(opened), pixels)


@pytest.mark.usefixtures("mnist")
def test_a_snapshot_of_it_decodes_in_other_processes(tmp_path: Path) -> None:
    settings = DataSettings(source="torchvision:FashionMNIST", validation_fraction=0.25, test_fraction=0.25)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sanefit.components.dataset_snapshot.new_images.BATCH_IMAGES", 16)
        dataset = take_snapshot(settings, str(tmp_path / "storage"), Said(), workers=2)
    assert read_manifest(dataset).image_shape == (28, 28, 1)
    assert sum(len(read_split(dataset, split)[1]) for split in SPLITS) == 60


@pytest.mark.usefixtures("mnist")
def test_its_parts_are_splits_when_asked() -> None:
    images = read_all("torchvision:FashionMNIST", own_splits=True)
    assert [image.split for image in images] == ["train"] * 60 + ["test"] * 30


def test_a_data_set_without_parts_is_taken_whole_and_has_no_splits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torchvision_dataset._opened.cache_clear()
    with pytest.raises(DataError, match="has no splits of its own"):
        read_all("torchvision:EuroSAT", own_splits=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Nonsense", "there is none of"),
        ("ImageNet", "cannot be had"),
        ("VisionDataset", "there is none of"),
    ],
)
def test_what_cannot_be_had_is_one_line(name: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torchvision_dataset._opened.cache_clear()
    with pytest.raises(DataError, match=said) as caught:
        read_all(f"torchvision:{name}")
    assert "\n" not in str(caught.value)
    assert f"torchvision:{name}" in str(caught.value)
