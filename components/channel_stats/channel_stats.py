"""How the training split's pixels are normalised, from all of its images or from a sample."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from components.channel_stats.exact_statistics import channel_histogram, mean_and_std
from components.channel_stats.pixel_statistics import mean_image, whitening
from components.channel_stats.sampled_statistics import SampledStatistics, sample_channel_statistics
from components.foundation import object_store
from components.foundation.artifacts import ChannelStats, DatasetReference
from components.foundation.image_dataset.pixel_transform import PixelTransform, write_transform
from components.foundation.image_dataset.shards import iterate_shards
from components.foundation.settings import StatsSettings
from components.foundation.step_log import Say

SMALLEST_SCALE = 1e-3  # a channel that never changes would otherwise be divided by 0
SAMPLED_AT_ONCE = 256


def measure_channel_stats(dataset: DatasetReference, settings: StatsSettings, say: Say) -> ChannelStats:
    """Mean and standard deviation per channel over the pixels of the training split.

    Args:
        dataset: the snapshot; only its training split is read.
        settings: exact or sampled, and what is subtracted and divided by; ``none`` leaves raw pixels 0-255.
        say: prints a line.
    """
    shards = [pixels for pixels, _ in iterate_shards(dataset, "train")]
    population = sum(len(shard) for shard in shards)
    found = _exact(shards) if settings.mode == "exact" else _sampled(shards, population, dataset, settings)
    mean, std = found.mean, found.std
    constant = [channel for channel, value in enumerate(std) if value < SMALLEST_SCALE]
    identity, zero = [1.0] * len(mean), [0.0] * len(mean)
    with_std = settings.normalization == "channel_mean_std"
    transform_uri = _pixel_transform(shards, dataset, settings)
    stats = ChannelStats(
        normalization=settings.normalization,
        images=found.images,
        mean=mean,
        std=std,
        shift=zero if settings.normalization == "none" else mean,
        scale=[s if s >= SMALLEST_SCALE else 1.0 for s in std] if with_std else identity,
        histogram=found.histogram.tolist(),
        half_width=found.half_width,
        confidence=settings.confidence if settings.mode == "sampled" else None,
        transform_uri=transform_uri,
    )
    say(f"mean {_listed(mean)}, std {_listed(std)} of 255, {_extent(found, population, settings)}")
    if constant:
        say(f"warning: channel {constant} is the same everywhere; it is not divided by its standard deviation")
    if settings.normalization == "none":
        say("warning: pixels are not normalised; all-positive inputs make gradients zig-zag")
    return stats


def _pixel_transform(shards: list[NDArray[np.uint8]], dataset: DatasetReference, settings: StatsSettings) -> str:
    """Beside the snapshot's shards; empty for a normalisation by channel."""
    match settings.normalization:
        case "mean_image":
            transform = PixelTransform(mean_image(shards).astype(np.float32), None)
        case "pca_whitening":
            transform = whitening(shards, "pca")
        case "zca_whitening":
            transform = whitening(shards, "zca")
        case _:
            return ""
    uri = object_store.join(dataset.folder_uri, f"{settings.normalization}.npz")
    write_transform(transform, uri)
    return uri


def _exact(shards: list[NDArray[np.uint8]]) -> SampledStatistics:
    counts, images = channel_histogram(shards)
    mean, std = mean_and_std(counts)
    return SampledStatistics(mean, std, [0.0] * len(mean), images, counts)


def _sampled(
    shards: list[NDArray[np.uint8]], population: int, dataset: DatasetReference, settings: StatsSettings
) -> SampledStatistics:
    starts = np.cumsum([0, *(len(shard) for shard in shards)])

    def read(numbers: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        where = np.searchsorted(starts, numbers, side="right") - 1
        for shard in np.unique(where):
            inside = np.sort(numbers[where == shard] - starts[shard])
            for first in range(0, len(inside), SAMPLED_AT_ONCE):
                yield shards[shard][inside[first : first + SAMPLED_AT_ONCE]]

    seed = int(dataset.fingerprint[:8], 16)  # the same images, the same sample
    return sample_channel_statistics(read, population, settings.tolerance, settings.confidence, seed)


def _extent(found: SampledStatistics, population: int, settings: StatsSettings) -> str:
    if settings.mode == "exact":
        return f"over all {found.images:,} training images"
    return (
        f"from {found.images:,} of {population:,} training images drawn at random: means within "
        f"{max(found.half_width):.2f} at {settings.confidence:.0%} confidence (asked: {settings.tolerance:g})"
    )


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
