import hashlib
import io
import math
import tarfile
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from said import Said
from sklearn.datasets import load_digits

from components.channel_stats import exact_statistics
from components.channel_stats.channel_stats import measure_channel_stats
from components.channel_stats.exact_statistics import channel_histogram, mean_and_std
from components.dataset_snapshot import packing, snapshot
from components.foundation.artifacts import ChannelStats, DatasetReference
from components.foundation.image_dataset.shards import read_manifest, read_split
from components.foundation.settings import DataSettings, StatsSettings

Pixels = NDArray[np.uint8]
ImageFolder = Callable[..., Path]


def images(channels: int) -> st.SearchStrategy[Pixels]:
    shapes = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.just(channels))
    return hnp.arrays(np.uint8, shapes, elements=st.integers(0, 255))


@given(st.sampled_from([1, 3, 4]).flatmap(images))
def test_the_statistics_are_exact(pixels: Pixels) -> None:
    mean, std = mean_and_std(channel_histogram([pixels])[0])
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
    mean, std = mean_and_std(channel_histogram([pixels])[0])
    exact = pixels.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, exact.std(axis=(0, 1, 2)), rtol=1e-9, atol=1e-12)


@given(images(3))
def test_the_histogram_counts_every_level_of_every_channel(pixels: Pixels) -> None:
    counts, number = channel_histogram([pixels])
    assert number == len(pixels)
    assert counts.shape == (3, 256)
    for channel, level in np.ndindex(3, 256):
        assert counts[channel, level] == np.count_nonzero(pixels[..., channel] == level)


@given(images(3), st.lists(st.integers(0, 6), max_size=3))
def test_how_the_images_are_cut_into_blocks_does_not_matter(pixels: Pixels, cuts: list[int]) -> None:
    blocks = [block for block in np.split(pixels, sorted(min(cut, len(pixels)) for cut in cuts)) if len(block)]
    counts, number = channel_histogram(iter(blocks))
    whole, whole_number = channel_histogram([pixels])
    assert number == whole_number
    np.testing.assert_array_equal(counts, whole)


def test_more_images_than_fit_a_block_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 2, 3, 3), dtype=np.uint8)
    counts, number = channel_histogram([pixels])
    monkeypatch.setattr(exact_statistics, "BLOCK_IMAGES", 10_000)
    unblocked, unblocked_number = channel_histogram([pixels])
    assert number == unblocked_number == 700
    assert counts.sum() == pixels.size
    np.testing.assert_array_equal(counts, unblocked)


def test_a_shift_too_small_for_floats_is_seen() -> None:
    """A billion white pixels and one black: summing squares in float64 would lose it."""
    counts = np.zeros((1, 256), dtype=np.int64)
    counts[0, 255], counts[0, 0] = 10**9, 1
    (mean,), (std,) = mean_and_std(counts)
    assert mean == float(Fraction(255 * 10**9, 10**9 + 1))
    assert std == pytest.approx(255 * math.sqrt(10**9) / (10**9 + 1), rel=1e-15)


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_one_level_everywhere_has_no_spread(level: int) -> None:
    counts = channel_histogram([np.full((3, 4, 5, 2), level, dtype=np.uint8)])[0]
    assert mean_and_std(counts) == ([float(level)] * 2, [0.0] * 2)


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
    for shard in read_manifest(dataset).shards:
        if shard.split != "train":
            Path(dataset.folder_uri, shard.pixels_file).unlink()
    assert measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said()) == stats
    training = read_split(dataset, "train")[0].astype(np.float64)
    assert stats.images == len(training) < 60
    np.testing.assert_allclose(stats.mean, training.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(stats.std, training.std(axis=(0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize("images_per_shard", [1, 7])
def test_how_the_snapshot_is_cut_into_shards_does_not_matter(
    images_per_shard: int,
    dataset: DatasetReference,
    image_folder: ImageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = f"folder:{image_folder({'cat': 30, 'dog': 30})}"
    monkeypatch.setattr(packing, "SHARD_BYTES", images_per_shard * 6 * 5 * 3)
    cut = snapshot.take_snapshot(DataSettings(source=source), str(tmp_path / "cut"), Said())
    training = [shard.images for shard in read_manifest(cut).shards if shard.split == "train"]
    assert max(training) == images_per_shard
    assert len(training) > 2
    expected = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    assert measure_channel_stats(cut, StatsSettings(normalization="channel_mean_std"), Said()) == expected


def test_the_normalisation_decides_what_is_subtracted_and_divided_by(dataset: DatasetReference) -> None:
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
    assert any("warning" in line and "not normalised" in line for line in said)
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


def cifar10_blocks(archive: Path) -> Iterator[Pixels]:
    block: list[Pixels] = []
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".jpg"):
                content = tar.extractfile(member)
                assert content is not None
                block.append(np.asarray(Image.open(io.BytesIO(content.read()))))
            if len(block) == 1000:
                yield np.stack(block)
                block = []
    assert block == []


def test_cifar10_has_its_known_statistics(cifar10_archive: Path) -> None:
    counts, number = channel_histogram(cifar10_blocks(cifar10_archive))
    mean, std = mean_and_std(counts)
    assert number == 50_000
    assert np.array(mean) / 255 == pytest.approx([0.49125, 0.48209, 0.44652], abs=1e-5)
    assert np.array(std) / 255 == pytest.approx([0.24523, 0.24278, 0.26063], abs=1e-5)
