"""How the training split's pixels are normalized, from all of its images or from a sample."""

import numpy as np
from numpy.typing import NDArray

from sanefit.components.channel_stats.exact_statistics import channel_histogram, channel_sums, mean_and_std
from sanefit.components.channel_stats.pixel_statistics import mean_image, whitening
from sanefit.components.channel_stats.sampled_statistics import MeasuredChannels, sample_channel_statistics
from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.pixel_transform import PixelTransform, write_transform
from sanefit.components.foundation.image_dataset.shard_rows import ShardRows, blocks_of, verify_shard
from sanefit.components.foundation.image_dataset.shards import SplitImages, open_split
from sanefit.components.foundation.machine.cores import usable_cores
from sanefit.components.foundation.machine.parallel_work import working_in_parallel
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import ChannelStats, StatsSettings
from sanefit.components.foundation.step_lines.step_log import Say

SMALLEST_SCALE = 1e-3  # a channel that never changes would otherwise be divided by 0
SAMPLED_AT_ONCE = 256
HISTOGRAM_VALUES = 2**24  # enough to draw it


def measure_channel_stats(
    dataset: DatasetReference, settings: StatsSettings, say: Say, workers: int | None = None
) -> ChannelStats:
    """Mean and standard deviation per channel over the pixels of the training split.

    Args:
        dataset: the snapshot; only its training split is read.
        settings: exact or sampled, and what is subtracted and divided by; ``none`` leaves raw pixels 0-255.
        say: prints a line.
        workers: processes; by default one for each core. The result does not depend on it.
    """
    exact = settings.mode == "exact"
    images = open_split(dataset, "train", verify=False)
    found = (
        measure_exactly(images, workers or usable_cores())
        if exact
        else _sampled(images, int(dataset.fingerprint[:8], 16), settings)  # the same images, the same sample
    )
    mean, std = found.mean, found.std
    constant = [channel for channel, value in enumerate(std) if value < SMALLEST_SCALE]
    identity, zero = [1.0] * len(mean), [0.0] * len(mean)
    with_std = settings.normalization == "channel_mean_std"
    transform_uri = _pixel_transform(images, dataset, settings)
    stats = ChannelStats(
        normalization=settings.normalization,
        images=found.images,
        mean=mean,
        std=std,
        shift=zero if settings.normalization == "none" else mean,
        scale=[s if s >= SMALLEST_SCALE else 1.0 for s in std] if with_std else identity,
        histogram=channel_histogram(_spread(images)).tolist(),
        half_width=found.half_width,
        confidence=None if exact else settings.confidence,
        transform_uri=transform_uri,
    )
    say(f"mean {_listed(mean)}, std {_listed(std)} of 255, {_extent(found, len(images), settings)}")
    if constant:
        say(f"warning: channel {constant} is the same everywhere; it is not divided by its standard deviation")
    if settings.normalization == "none":
        say("warning: pixels are not normalized; all-positive inputs make gradients zig-zag")
    return stats


def measure_exactly(images: SplitImages, workers: int) -> MeasuredChannels:
    """Over every image, each file of pixels in one process.

    Raises:
        DataError: when a file is not what the snapshot's manifest says.
    """
    with working_in_parallel(workers) as in_parallel:
        mean, std = mean_and_std(np.sum(list(in_parallel(_verified_sums, images.shards)), axis=0))
    return MeasuredChannels(mean, std, [0.0] * len(mean), len(images))


def _verified_sums(shard: ShardRows) -> NDArray[np.int64]:
    verify_shard(shard)
    return shard_sums(shard)


def shard_sums(shard: ShardRows) -> NDArray[np.int64]:
    """As ``channel_sums``, of a split's images in a file."""
    total: NDArray[np.int64] = np.sum([channel_sums(block) for block in blocks_of(shard)], axis=0)
    return total


def _sampled(images: SplitImages, seed: int, settings: StatsSettings) -> MeasuredChannels:
    def read(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        size = images_at_once(images.image_shape, SAMPLED_AT_ONCE)
        parts = (images.read(numbers[start : start + size]) for start in range(0, len(numbers), size))
        return np.stack([channel_sums(image) for part in parts for image in part])

    return sample_channel_statistics(read, len(images), settings.tolerance, settings.confidence, seed)


def _spread(images: SplitImages) -> NDArray[np.uint8]:
    """Images from the whole split: all of a small one."""
    most = max(1, HISTOGRAM_VALUES // images.image_bytes)
    return images.read(np.linspace(0, len(images) - 1, min(most, len(images)), dtype=np.int64))


def _pixel_transform(images: SplitImages, dataset: DatasetReference, settings: StatsSettings) -> str:
    """Written to the storage; empty for a normalization by channel."""
    match settings.normalization:
        case "mean_image":
            transform = PixelTransform(mean_image(images.blocks()).astype(np.float32), None)
        case "pca_whitening":
            transform = whitening(images.blocks, images.image_shape, "pca")
        case "zca_whitening":
            transform = whitening(images.blocks, images.image_shape, "zca")
        case _:
            return ""
    return write_transform(transform, dataset.storage)


def _extent(found: MeasuredChannels, population: int, settings: StatsSettings) -> str:
    if settings.mode == "exact":
        return f"over all {found.images:,} training images"
    return (
        f"from {found.images:,} of {population:,} training images drawn at random: means within "
        f"{max(found.half_width):.2f} at {settings.confidence:.0%} confidence (asked: {settings.tolerance:g})"
    )


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)
