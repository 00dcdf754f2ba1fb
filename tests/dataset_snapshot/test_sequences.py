"""Frames of a film are told from numbered photographs, and the advice helps."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS

WARNING = "as frames of a film do"


def film(folder: Path, name: str, frames: int, seed: int) -> None:
    """A smooth picture that moves and changes slowly, with its frame's number in the corner."""
    random = np.random.default_rng(seed)
    first, last = random.integers(0, 256, (2, 9, 9, 3)).astype(float)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        share = number / frames
        rough = ((1 - share) * first + share * last + random.normal(0, 12, first.shape)).clip(0, 255)
        picture = Image.fromarray(rough.astype(np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
        picture.putpixel((0, 0), (seed % 256, number % 256, number // 256))
        picture.save(folder / f"{name}{number:04d}.png")


def warned(source: Path, storage: Path, **options: object) -> list[str]:
    said = Said()
    settings = DataSettings.model_validate({"source": f"folder:{source}", **options})
    take_snapshot(settings, str(storage), said)
    return [line for line in said if WARNING in line]


def advice_in(line: str) -> str:
    return line.partition("data.group='")[2].partition("'")[0]


@pytest.mark.parametrize(("films", "frames"), [(12, 12), (1, 150), (2, 60)])
def test_the_advice_helps(films: int, frames: int, tmp_path: Path) -> None:
    for label in range(2):
        for number in range(films):
            film(tmp_path / "images" / str(label), f"film{number:02d}_frame_", frames, 100 * label + number)
    [line] = warned(tmp_path / "images", tmp_path / "storage")
    group = advice_in(line)
    with pytest.raises(
        DataError, match=r"is new here: [\d,]+ training images would be held out.*choose another storage"
    ):
        warned(tmp_path / "images", tmp_path / "storage", group=group)
    assert warned(tmp_path / "images", tmp_path / "other", group=group) == []
    settings = DataSettings(source=f"folder:{tmp_path / 'images'}", group=group)
    dataset = take_snapshot(settings, str(tmp_path / "other"), Said())
    crossings = defaultdict(set)
    for split in SPLITS:
        for pixels in read_split(dataset, split)[0]:
            film_number, low, high = pixels[0, 0].tolist()
            frame = low + 256 * high
            crossings[film_number, frame // 10 if films < 10 else 0].add(split)
    assert all(len(found) == 1 for found in crossings.values())
    assert {split for found in crossings.values() for split in found} == set(SPLITS)


def test_numbered_photographs_are_no_film(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(100):
            rough = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            path = tmp_path / "images" / name / f"IMG_{number:04d}.png"
            rough.resize((32, 32), Image.Resampling.BICUBIC).save(path)
    assert warned(tmp_path / "images", tmp_path / "storage") == []


def test_images_that_are_all_alike_are_no_film(tmp_path: Path) -> None:
    """As parts under one camera are: neighbors are no more alike than others."""
    random = np.random.default_rng(0)
    base = random.integers(0, 200, (9, 9, 3))
    for name in ("good", "bad"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(100):
            rough = (base + random.normal(0, 20, base.shape)).clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(rough).resize((32, 32), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "images" / name / f"{number:04d}.png")
    assert warned(tmp_path / "images", tmp_path / "storage") == []


@pytest.mark.slow
def test_cifar10_is_no_film(cifar10_archive: Path, tmp_path: Path) -> None:
    said = Said()
    take_snapshot(DataSettings(source=f"tar:{cifar10_archive}"), str(tmp_path), said)
    assert not any(WARNING in line for line in said)
