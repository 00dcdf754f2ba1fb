"""Large JPEG files decoded at one of JPEG's own scales: `data.large_jpegs=reduced`."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from said import Said

from sanefit.components.dataset_snapshot.decoded_images import folder_of
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.decoding import decode_picture
from sanefit.components.foundation.image_dataset.image_names import read_names
from sanefit.components.foundation.image_dataset.prepared_pixels import Preparation, decode_file
from sanefit.components.foundation.image_dataset.shards import read_index, read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference, SplitName

WHITE = (255, 255, 255)


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Discs of all sizes over each other, and noise, as in photos: the statistics of edges do not depend on scale."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), random.integers(0, 256, 3), dtype=np.float32)
    rows, columns = np.ogrid[:height, :width]
    for _ in range(60):
        radius = min(4 / np.sqrt(random.random()), 400)
        row, column = random.integers(0, height), random.integers(0, width)
        disc = (rows - row) ** 2 + (columns - column) ** 2 < radius**2 * 9
        picture[disc] = random.integers(0, 256, 3)
    picture += random.normal(0, 6, (height, width, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(pixels: NDArray[np.uint8], orientation: int = 1, mode: str = "RGB") -> bytes:
    content, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).convert(mode).save(content, "JPEG", quality=92, exif=exif)
    return content.getvalue()


def test_statistics_stay_what_they_are() -> None:
    files = [jpeg(photo(1200, 1600, seed)) for seed in range(4)]
    for image_size in (32, 100):
        full, reduced = (
            np.stack([decode_file(file, "x", Preparation(image_size, WHITE, 16, how)).pixels for file in files]).astype(
                np.float64
            )
            for how in ("full", "reduced")
        )
        assert not np.array_equal(full, reduced)
        assert abs(full.mean((0, 1, 2)) - reduced.mean((0, 1, 2))).max() < 0.25  # of 255
        assert abs(reduced.std((0, 1, 2)) / full.std((0, 1, 2)) - 1).max() < 0.005


@given(height=st.integers(1, 1500), width=st.integers(1, 1500), least=st.integers(1, 800))
def test_no_side_becomes_too_small_and_no_smaller_scale_would_do(height: int, width: int, least: int) -> None:
    content = simplejpeg.encode_jpeg(np.zeros((height, width, 3), dtype=np.uint8), quality=50)
    picture = decode_picture(content, "x", least_side=least)
    seen = picture.pixels.shape[:2]
    assert picture.size == (width, height)
    if height * width <= 1_000_000:
        assert seen == (height, width)
        return
    [by] = [by for by in (1, 2, 4, 8) if seen == (-(-height // by), -(-width // by))]
    assert by == 1 or min(seen) >= least
    assert by == 8 or min(height, width) // (2 * by) < least


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_turned_and_other_files_are_reduced_as_upright_ones_are(orientation: int, mode: str) -> None:
    picture = decode_picture(jpeg(photo(1000, 1400), orientation, mode), "x", least_side=200)
    full = decode_picture(jpeg(photo(1000, 1400), orientation, mode), "x")
    height, width, _ = full.pixels.shape
    assert picture.size == full.size == (width, height) == ((1000, 1400) if orientation >= 5 else (1400, 1000))
    assert picture.pixels.shape == (height // 4, width // 4, 3)
    small = np.asarray(Image.fromarray(full.pixels).reduce(4)).astype(int)
    assert abs(small - picture.pixels).mean() < 6


def test_small_files_and_other_formats_are_bitwise_what_they_were() -> None:
    png = io.BytesIO()
    Image.fromarray(photo(1100, 1000)).save(png, "PNG")
    for content in (jpeg(photo(1000, 1000)), jpeg(photo(1000, 1000), 6), png.getvalue()):
        np.testing.assert_array_equal(
            decode_picture(content, "x", least_side=1).pixels, decode_picture(content, "x").pixels
        )


def test_what_is_decoded_otherwise_is_named_otherwise() -> None:
    full, reduced = (DataSettings(image_size=32, large_jpegs=how) for how in ("full", "reduced"))
    assert folder_of(full) != folder_of(reduced)
    assert folder_of(full) == folder_of(DataSettings(image_size=32))
    assert full.decoding == "32 (255, 255, 255) 16"  # as it was before there was a choice: nothing is decoded anew


def test_a_model_knows_how_its_images_were_decoded() -> None:
    for preparation in (Preparation(32, WHITE, 16), Preparation(32, WHITE, 16, "reduced")):
        assert Preparation.from_metadata(preparation.metadata) == preparation
    assert Preparation(32, WHITE, 16).metadata.keys() == {"image_size", "background", "bit_depth"}


def test_it_needs_a_size() -> None:
    with pytest.raises(ValidationError, match=r"expected data\.image_size with it"):
        DataSettings(large_jpegs="reduced")


def names_of(dataset: DatasetReference, split: SplitName) -> list[str]:
    names = read_names(dataset, split)
    assert names is not None
    return sorted(names[number] for number in range(len(names)))


def test_splits_stay_when_the_way_of_decoding_changes(tmp_path: Path, image_folder: Callable[..., Path]) -> None:
    source = image_folder({"cat": 8, "dog": 8}, size=(40, 40))
    for number in range(6):
        (source / ("cat", "dog")[number % 2] / f"large{number}.jpg").write_bytes(jpeg(photo(1001, 1000, number)))
    settings = DataSettings(source=f"folder:{source}", image_size=8)
    splits = []
    for how in ("full", "reduced"):
        dataset = take_snapshot(settings.model_copy(update={"large_jpegs": how}), str(tmp_path / "storage"), Said())
        manifest = read_manifest(dataset)
        assert (1000, 1001) in {(size.width, size.height) for size in manifest.sizes}
        splits.append({split: names_of(dataset, split) for split in SPLITS})
        assert sum(len(read_index(dataset, split, manifest)) for split in SPLITS) == 22
    assert splits[0] == splits[1]
