"""Sampled channel means: the interval holds, and is as narrow as asked."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_sources import read_all
from numpy.typing import NDArray
from said import Said

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.channel_stats.exact_statistics import channel_sums, mean_and_std
from sanefit.components.channel_stats.sampled_statistics import sample_channel_statistics
from sanefit.components.foundation.image_dataset.decoding import decode
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings

pytestmark = pytest.mark.slow

Pixels = NDArray[np.uint8]
Sums = NDArray[np.int64]
SEEDS = 100


def population(images: int, seed: int = 0) -> Pixels:
    """Pixels of one image are alike: each image has its own brightness and color."""
    random = np.random.default_rng(seed)
    brightness = random.normal(120, 30, (images, 1, 1, 1)) + random.normal(0, 15, (images, 1, 1, 3))
    return (brightness + random.normal(0, 10, (images, 2, 2, 3))).clip(0, 255).astype(np.uint8)


def sums_of(pixels: Pixels) -> Sums:
    return np.stack([channel_sums(image) for image in pixels])


def reader(pixels: Pixels) -> Callable[[NDArray[np.int64]], Sums]:
    sums = sums_of(pixels)
    return lambda numbers: sums[numbers]


def coverage(pixels: Pixels, tolerance: float) -> tuple[int, list[int]]:
    """In how many of 100 seeds every channel's interval holds the true mean; how many images each took."""
    truth = pixels.mean(axis=(0, 1, 2), dtype=np.float64)
    held, images, read = 0, [], reader(pixels)
    for seed in range(SEEDS):
        found = sample_channel_statistics(read, len(pixels), tolerance, 0.95, seed)
        assert max(found.half_width) <= tolerance
        held += all(abs(m - t) <= h for m, t, h in zip(found.mean, truth, found.half_width, strict=True))
        images.append(found.images)
    return held, images


@pytest.mark.parametrize("tolerance", [0.7, 1.0, 3.0])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(tolerance: float) -> None:
    held, _ = coverage(population(20_000), tolerance)
    assert held >= 94


def test_cifar10_means_are_held_too(cifar10_archive: Path) -> None:
    images = [decode(image.content, image.path) for image in read_all(f"tar:{cifar10_archive}")]
    held, taken = coverage(np.stack(images), 1.0)
    assert held >= 94
    assert 6_500 < np.median(taken) < 8_000  # by the formula 5,223 for one channel at z = 1.96, 7,200 for three


@settings(deadline=None, max_examples=40)
@given(images=st.integers(1, 400), seed=st.integers(0, 99))
def test_a_tolerance_that_needs_every_image_gives_the_exact_statistics(images: int, seed: int) -> None:
    pixels = population(images)
    found = sample_channel_statistics(reader(pixels), images, 1e-9, 0.95, seed)
    mean, std = mean_and_std(channel_sums(pixels))
    assert (found.images, found.mean, found.std) == (images, mean, std)
    assert found.half_width == [0.0] * 3


def test_images_of_many_sizes_are_held_too() -> None:
    """Large images are bright here: the mean over pixels is another than the mean over images."""
    random = np.random.default_rng(0)
    sides = random.integers(2, 12, 4000)
    images = [random.normal(60 + 12 * side, 15, (side, side, 3)).clip(0, 255).astype(np.uint8) for side in sides]
    sums = np.stack([channel_sums(image) for image in images])
    truth = sums[:, 1:4].sum(axis=0) / sums[:, 0].sum()
    assert abs(truth - np.mean([image.mean(axis=(0, 1)) for image in images], axis=0)).min() > 10
    held = 0
    for seed in range(SEEDS):
        found = sample_channel_statistics(lambda numbers: sums[numbers], len(images), 3.0, 0.95, seed)
        assert found.images < 3000
        held += bool((abs(found.mean - truth) <= found.half_width).all())
    assert held >= 94


def test_broken_images_among_those_drawn_are_left_out() -> None:
    sums = sums_of(population(2000))
    found = sample_channel_statistics(lambda numbers: sums[numbers[numbers % 7 > 0]], 2000, 1e-9, 0.95, 0)
    whole = sums[np.arange(2000) % 7 > 0]
    assert found.images == len(whole)
    assert found.mean == mean_and_std(whole.sum(axis=0))[0]


def test_the_half_width_is_the_formula() -> None:
    pixels = population(5000)
    found = sample_channel_statistics(reader(pixels), 5000, 2.0, 0.95, 3)
    drawn = pixels[np.random.default_rng(3).permutation(5000)[: found.images]].mean(axis=(1, 2), dtype=np.float64)
    z = 2.3939797998  # of 1 - 0.05 / 6
    for channel, half in enumerate(found.half_width):
        spread = drawn[:, channel].std(ddof=1) / math.sqrt(found.images)
        assert half == pytest.approx(z * spread * math.sqrt(1 - found.images / 5000), rel=1e-6)


def test_ten_times_the_images_take_little_more() -> None:
    few, many = (np.median(coverage(population(count, 1), 1.0)[1]) for count in (20_000, 200_000))
    assert many < 1.5 * few


def test_more_confidence_takes_more_images() -> None:
    pixels = population(20_000)
    taken = [sample_channel_statistics(reader(pixels), 20_000, 1.0, c, 0).images for c in (0.8, 0.95, 0.999)]
    assert taken == sorted(set(taken))


@pytest.fixture
def sampled(digits: DatasetReference) -> tuple[ChannelStats, Said]:
    said = Said()
    return measure_channel_stats(digits, StatsSettings(mode="sampled", tolerance=1.0), said), said


def test_a_sampled_snapshot_says_how_many_images_and_which_interval(
    sampled: tuple[ChannelStats, Said], digits_stats: ChannelStats
) -> None:
    stats, said = sampled
    assert stats.images < digits_stats.images
    assert stats.confidence == 0.95
    assert 0 < stats.half_width[0] <= 1.0
    assert abs(stats.mean[0] - digits_stats.mean[0]) <= 2.0
    assert f"from {stats.images:,} of 1,206 training images drawn at random: means within" in said[0]
    assert "95% confidence" in said[0]


def test_the_same_snapshot_gives_the_same_sample(sampled: tuple[ChannelStats, Said], digits: DatasetReference) -> None:
    again = measure_channel_stats(digits, StatsSettings(mode="sampled", tolerance=1.0), Said())
    assert again == sampled[0]


def test_exact_statistics_have_no_interval(digits_stats: ChannelStats) -> None:
    assert digits_stats.half_width == [0.0]
    assert digits_stats.confidence is None
