"""The pictures of the page: those that are shown, and no others are read."""

import base64
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import SplitImages, read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.run_report.pictures import SAMPLES_PER_CLASS, data_pictures, picture_row, small

ImageFolder = Callable[..., Path]


def opened(row: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(row)))


def snapshot_of(root: Path, storage: Path, **options: object) -> DatasetReference:
    return take_snapshot(DataSettings.model_validate({"source": f"folder:{root}", **options}), str(storage), Said())


@pytest.mark.parametrize(("classes", "shown"), [(3, 3), (50, 50), (51, 26), (120, 40)])
def test_up_to_fifty_classes_have_a_row(classes: int, shown: int, image_folder: ImageFolder, tmp_path: Path) -> None:
    dataset = snapshot_of(image_folder({f"{number:03d}": 4 for number in range(classes)}), tmp_path / "storage")
    samples = data_pictures(dataset, read_manifest(dataset)).samples
    assert len(samples) == shown
    assert [one.name for one in samples] == sorted({one.name for one in samples})


def test_ten_images_of_a_class_are_read_however_many_there_are(
    image_folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = snapshot_of(image_folder({"cat": 300, "dog": 200, "rare": 4}), tmp_path / "storage")
    read, original = [], SplitImages.read

    def counted(images: SplitImages, numbers: np.ndarray) -> np.ndarray:
        read.append(len(numbers))
        return original(images, numbers)

    monkeypatch.setattr(SplitImages, "read", counted)
    data_pictures(dataset, read_manifest(dataset))
    assert sum(read) <= 3 * SAMPLES_PER_CLASS + 4 * 6  # and the unusual ones


def test_a_row_shows_the_class_s_images(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for name, color in (("blue", (10, 20, 200)), ("red", (200, 20, 10))):
        (root / name).mkdir(parents=True)
        for number in range(8):
            shade = tuple(level + number for level in color)
            Image.new("RGB", (6, 6), shade).save(root / name / f"{number}.png")
    samples = data_pictures(dataset := snapshot_of(root, tmp_path / "storage"), read_manifest(dataset)).samples
    for one in samples:
        red, _, blue = opened(one.row).convert("RGB").getpixel((3, 3))
        assert (red > blue) == (one.name == "red")


def test_copies_and_conflicts_are_shown(image_folder: ImageFolder, tmp_path: Path) -> None:
    root = image_folder({"cat": 20, "dog": 20}, size=(24, 24))
    shared = Image.effect_noise((24, 24), 60).convert("RGB")
    for name in ("cat", "dog"):
        shared.save(root / name / "shared.png")
    rough = np.random.default_rng(0).integers(50, 200, (30, 6, 6, 3), dtype=np.uint8)
    for number, one in enumerate(rough):
        picture = Image.fromarray(one).resize((24, 24), Image.Resampling.BICUBIC)
        picture.save(root / "cat" / f"smooth-{number}.png")
        if number < 3:
            picture.save(root / "cat" / f"smooth-{number}-again.jpg", quality=80)
    dataset = snapshot_of(root, tmp_path / "storage")
    shown = data_pictures(dataset, read_manifest(dataset))
    assert len(shown.near) == 3
    assert opened(shown.near[0][1]).width == 2 * (48 + 2)
    [(conflict, picture)] = shown.conflicts
    assert conflict.class_names == ["cat", "dog"]
    np.testing.assert_array_equal(np.asarray(opened(picture).convert("RGB"))[::2, :48:2], np.asarray(shared))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (100, 20), (20, 300), (48, 48), (49, 1)])
def test_a_picture_is_made_small_and_keeps_its_proportions(height: int, width: int, channels: int) -> None:
    picture = small(np.zeros((height, width, channels), dtype=np.uint8))
    assert max(picture.size) <= 48
    assert picture.mode == ("L" if channels == 1 else "RGB")
    assert picture_row([picture])


PROGRAM = """
import resource, sys
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.run_report.pictures import data_pictures
dataset = DatasetReference(storage=sys.argv[1], fingerprint=sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data_pictures(dataset, read_manifest(dataset))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_large_images_of_many_classes_take_little_memory(tmp_path: Path) -> None:
    """300 classes of five images of 224 pixels: 225 MB as pixels."""
    random = np.random.default_rng(0)
    for label in range(300):
        folder = tmp_path / "images" / f"{label:03d}"
        folder.mkdir(parents=True)
        for number in range(5):
            rough = Image.fromarray(random.integers(0, 256, (7, 7, 3), dtype=np.uint8))
            rough.resize((224, 224), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    dataset = snapshot_of(tmp_path / "images", tmp_path / "storage")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, dataset.storage, dataset.fingerprint],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(ran.stdout) < 64 * 1024  # KiB
