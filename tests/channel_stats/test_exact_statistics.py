import hashlib
import io
import math
import tarfile
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from said import Said
from sklearn.datasets import load_digits

from sanefit.components.channel_stats import exact_statistics
from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.channel_stats.exact_statistics import channel_histogram, channel_sums, mean_and_std
from sanefit.components.channel_stats.source_statistics import measure_source
from sanefit.components.dataset_snapshot import new_images, part_writer, snapshot
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.shards import open_split, read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings

Pixels = NDArray[np.uint8]
ImageFolder = Callable[..., Path]


def images(channels: int) -> st.SearchStrategy[Pixels]:
    shapes = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.just(channels))
    return hnp.arrays(np.uint8, shapes, elements=st.integers(0, 255))


@given(st.sampled_from([1, 3, 4]).flatmap(images))
def test_the_statistics_are_exact(pixels: Pixels) -> None:
    mean, std = mean_and_std(channel_sums(pixels))
    for channel in range(pixels.shape[-1]):
        values = [int(value) for value in pixels[..., channel].ravel()]
        exact_mean = Fraction(sum(values), len(values))
        variance = sum((value - exact_mean) ** 2 for value in values) / len(values)
        with localcontext() as context:
            context.prec = 50
            exact_std = float((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())
        assert mean[channel] == float(exact_mean)
        assert abs(std[channel] - exact_std) <= math.ulp(exact_std)


@given(images(3))
def test_the_statistics_are_those_of_numpy(pixels: Pixels) -> None:
    mean, std = mean_and_std(channel_sums(pixels))
    exact = pixels.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, exact.std(axis=(0, 1, 2)), rtol=1e-9, atol=1e-12)


@given(images(3))
def test_the_histogram_counts_every_level_of_every_channel(pixels: Pixels) -> None:
    counts = channel_histogram(pixels)
    assert counts.shape == (3, 256)
    for channel, level in np.ndindex(3, 256):
        assert counts[channel, level] == np.count_nonzero(pixels[..., channel] == level)


@given(images(3), st.lists(st.integers(0, 6), max_size=3), st.integers(1, 40))
def test_how_the_pixels_are_cut_into_parts_does_not_matter(pixels: Pixels, cuts: list[int], at_once: int) -> None:
    parts = np.split(pixels, sorted(min(cut, len(pixels)) for cut in cuts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_statistics, "PIXELS_AT_ONCE", at_once)
        summed = sum(channel_sums(part) for part in parts)
    np.testing.assert_array_equal(summed, channel_sums(pixels))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(0, 255), st.integers(0, 99))
def test_the_sums_of_many_pixels_are_whole_numbers(channels: int, level: int, seed: int) -> None:
    """More white pixels than 32 bits hold the squares of, and some of other levels."""
    pixels = np.full((3, exact_statistics.PIXELS_AT_ONCE + 77, channels), 255, dtype=np.uint8)
    where = np.random.default_rng(seed).integers(0, pixels.size, 1000)
    pixels.reshape(-1)[where] = level
    values = pixels.reshape(-1, channels).astype(np.int64)
    expected = [len(values), *values.sum(axis=0), *(values**2).sum(axis=0)]
    assert channel_sums(pixels).tolist() == expected


def test_a_shift_too_small_for_floats_is_seen() -> None:
    """A billion white pixels and one black: summing squares in float64 would lose it."""
    (mean,), (std,) = mean_and_std(np.array([10**9 + 1, 255 * 10**9, 255**2 * 10**9]))
    assert mean == float(Fraction(255 * 10**9, 10**9 + 1))
    assert std == pytest.approx(255 * math.sqrt(10**9) / (10**9 + 1), rel=1e-15)


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_one_level_everywhere_has_no_spread(level: int) -> None:
    sums = channel_sums(np.full((3, 4, 5, 2), level, dtype=np.uint8))
    assert mean_and_std(sums) == ([float(level)] * 2, [0.0] * 2)


def test_the_digits_statistics_are_those_of_their_training_images(digits_stats: ChannelStats) -> None:
    scans, _ = load_digits(return_X_y=True)
    pixels = np.rint(scans * 255 / 16).astype(np.uint8)
    positions = [int(hashlib.sha256(p.tobytes()).hexdigest()[:16], 16) / 2**64 for p in pixels]
    training = pixels[np.array(positions) >= 0.3].astype(np.float64)
    assert digits_stats.images == len(training)
    assert digits_stats.mean == pytest.approx([training.mean()], rel=1e-12)
    assert digits_stats.std == pytest.approx([training.std()], rel=1e-12)
    assert np.sum(digits_stats.histogram) == training.size


@pytest.fixture
def dataset(image_folder: ImageFolder, tmp_path: Path) -> DatasetReference:
    source = f"folder:{image_folder({'cat': 30, 'dog': 30})}"
    return snapshot.take_snapshot(DataSettings(source=source), str(tmp_path / "storage"), Said())


def test_only_the_training_split_is_measured(dataset: DatasetReference) -> None:
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    for split in ("validation", "test"):
        for shard in open_split(dataset, split).shards:
            shard.path.unlink()
    assert measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said()) == stats
    training = read_split(dataset, "train")[0].astype(np.float64)
    assert stats.images == len(training) < 60
    np.testing.assert_allclose(stats.mean, training.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(stats.std, training.std(axis=(0, 1, 2)), rtol=1e-12)


def test_a_damaged_file_is_not_measured(dataset: DatasetReference) -> None:
    [shard] = open_split(dataset, "train").shards
    shard.path.write_bytes(shard.path.read_bytes()[:-1] + b"\0")
    with pytest.raises(DataError, match=str(shard.path)):
        measure_channel_stats(dataset, StatsSettings(), Said())


@pytest.mark.parametrize("images_per_shard", [1, 7])
def test_how_the_snapshot_is_cut_into_shards_does_not_matter(
    images_per_shard: int,
    dataset: DatasetReference,
    image_folder: ImageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = f"folder:{image_folder({'cat': 30, 'dog': 30})}"
    monkeypatch.setattr(part_writer, "SHARD_BYTES", images_per_shard * 6 * 5 * 3)
    monkeypatch.setattr(new_images, "BATCH_IMAGES", 1)
    cut = snapshot.take_snapshot(DataSettings(source=source), str(tmp_path / "cut"), Said())
    training = [shard.rows for shard in open_split(cut, "train").shards]
    assert max(map(len, training)) == images_per_shard
    assert len(training) > 2
    expected = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    for workers in (1, 2, 3):
        measured = measure_channel_stats(cut, StatsSettings(normalization="channel_mean_std"), Said(), workers)
        assert measured == expected


def test_the_normalization_decides_what_is_subtracted_and_divided_by(dataset: DatasetReference) -> None:
    both = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    mean_only = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean"), Said())
    none = measure_channel_stats(dataset, StatsSettings(normalization="none"), Said())
    assert (both.shift, both.scale) == (both.mean, both.std)
    assert (mean_only.shift, mean_only.scale) == (both.mean, [1.0, 1.0, 1.0])
    assert (none.shift, none.scale) == ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    assert (none.mean, none.std, none.histogram) == (both.mean, both.std, both.histogram)


def test_raw_pixels_are_warned_about(dataset: DatasetReference) -> None:
    said, quiet = Said(), Said()
    measure_channel_stats(dataset, StatsSettings(normalization="none"), said)
    measure_channel_stats(dataset, StatsSettings(normalization="channel_mean"), quiet)
    assert any("warning" in line and "not normalized" in line for line in said)
    assert not any("warning" in line for line in quiet)


def test_a_constant_channel_is_named_and_not_divided(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(60):
        folder = tmp_path / "images" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        pixels[..., 1] = 9
        Image.fromarray(pixels).save(folder / f"{number}.png")
    said = Said()
    source = DataSettings(source=f"folder:{tmp_path / 'images'}")
    dataset = snapshot.take_snapshot(source, str(tmp_path), said)
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), said)
    assert (stats.mean[1], stats.std[1], stats.scale[1]) == (9.0, 0.0, 1.0)
    assert (stats.scale[0], stats.scale[2]) == (stats.std[0], stats.std[2])
    assert any("warning" in line and "[1]" in line for line in said)


@pytest.mark.slow
def test_all_of_cifar10_is_measured_to_the_last_digit(cifar10_archive: Path) -> None:
    """Beside an independent computation: Pillow decodes, numpy adds up in float64."""
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    with tarfile.open(cifar10_archive) as tar:
        for member in tar:
            if member.name.endswith(".jpg"):
                content = tar.extractfile(member)
                assert content is not None
                values = np.asarray(Image.open(io.BytesIO(content.read()))).reshape(-1, 3).astype(np.float64)
                total, squares = total + values.sum(axis=0), squares + (values**2).sum(axis=0)
                pixels += len(values)
    found = measure_source(DataSettings(source=f"tar:{cifar10_archive}"), StatsSettings(), 0, workers=2)
    assert found.measured.images == 50_000
    assert found.measured.mean == pytest.approx(total / pixels, abs=1e-9)
    assert found.measured.std == pytest.approx(np.sqrt(squares / pixels - (total / pixels) ** 2), abs=1e-6)
    assert np.array(found.measured.mean) / 255 == pytest.approx([0.49125, 0.48209, 0.44652], abs=1e-5)
    assert np.array(found.measured.std) / 255 == pytest.approx([0.24523, 0.24278, 0.26063], abs=1e-5)
