"""The channel statistics of a source, straight from its files: no snapshot, nothing written."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.channel_stats.exact_statistics import channel_sums, mean_and_std
from sanefit.components.channel_stats.sampled_statistics import MeasuredChannels, sample_channel_statistics
from sanefit.components.foundation.errors import DataError
from sanefit.components.foundation.image_dataset.decoding import unused_bits
from sanefit.components.foundation.image_dataset.excluded_names import read_excluded_names
from sanefit.components.foundation.image_dataset.image_names import name_in_source
from sanefit.components.foundation.image_dataset.reading import contents_of, decode_image, too_many_broken
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.image_dataset.sources.source_image import SourceImage
from sanefit.components.foundation.machine.parallel_work import InParallel, working_in_parallel
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.statistics import StatsSettings

MOST_IN_BATCH = 256
BATCHES_PER_WORKER = 4  # so that workers end at about the same time


@dataclass(frozen=True)
class SourceStatistics:
    """What was measured.

    ``population``: images listed. ``broken``: reasons of files that are no images. ``warning``: about
    the levels of 16-bit images, empty where they are as they should be. ``excluded``: how many images ``data.exclude``
    leaves out; they are not of the population.
    """

    measured: MeasuredChannels
    population: int
    broken: list[str]
    warning: str
    excluded: int = 0


@dataclass(frozen=True)
class _Batch:
    images: list[SourceImage]
    settings: DataSettings


def measure_source(data: DataSettings, stats: StatsSettings, seed: int, workers: int) -> SourceStatistics:
    """Mean and standard deviation per channel over every image of a source, or over a sample of them.

    Args:
        data: the source, and how its images are decoded.
        stats, seed, workers: as for ``measure_images``.

    Raises:
        DataError: when the source cannot be read, holds no image, or too many of its files are broken.
        StorageError: when S3 does not give an image.
    """
    with tempfile.TemporaryDirectory(prefix="sanefit-") as scratch:
        listed = list_source(data.source, Path(scratch), folders=data.folders, class_from=data.class_from or "").images
        images = _without_excluded(listed, data)
        if not images:
            raise DataError(f"data.source={data.source!r} holds no images; expected some; correct the path")
        return replace(measure_images(images, data, stats, seed, workers), excluded=len(listed) - len(images))


def _without_excluded(images: Sequence[SourceImage], data: DataSettings) -> Sequence[SourceImage]:
    if data.exclude is None:
        return images
    names = {name_in_source(data.source, name) for name in read_excluded_names(data.exclude)}
    return [image for image in images if name_in_source(data.source, image.path) not in names]


def measure_images(
    images: Sequence[SourceImage], data: DataSettings, stats: StatsSettings, seed: int, workers: int
) -> SourceStatistics:
    """The same of listed images. They may differ in size: each pixel counts once. Broken files are left out.

    Args:
        images: one or more.
        data: how they are decoded, and how many may be broken.
        stats: exact or sampled; ``normalization`` is not looked at.
        seed: of the sample.
        workers: processes that decode; the result does not depend on it.

    Raises:
        DataError, StorageError: as ``measure_source``.
    """
    broken: list[str] = []
    levels = [0]
    with working_in_parallel(workers) as in_parallel:

        def read(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
            return _read([images[number] for number in numbers.tolist()], data, in_parallel, workers, broken, levels)

        if stats.mode == "sampled":
            measured = sample_channel_statistics(read, len(images), stats.tolerance, stats.confidence, seed)
        else:
            sums = read(np.arange(len(images)))
            mean, std = mean_and_std(sums.sum(axis=0))
            measured = MeasuredChannels(mean, std, [0.0] * len(mean), len(sums))
    files = measured.images + len(broken)
    if len(broken) > data.max_bad_fraction * files:
        raise too_many_broken(data, broken, files)
    return SourceStatistics(_of_gray_once(measured), len(images), broken, unused_bits(max(levels), data.bit_depth))


def _read(
    images: list[SourceImage],
    settings: DataSettings,
    in_parallel: InParallel,
    workers: int,
    broken: list[str],
    levels: list[int],
) -> NDArray[np.int64]:
    """As ``channel_sums``, of each image that is whole: int64 (images, 1 + 2 * channels).

    ``broken`` takes the reasons of the others, ``levels`` the highest levels of 16-bit gray.
    """
    size = max(1, min(MOST_IN_BATCH, len(images) // (BATCHES_PER_WORKER * workers)))
    batches = (_Batch(images[start : start + size], settings) for start in range(0, len(images), size))
    sums, reasons, highest = zip(*in_parallel(_batch_sums, batches), strict=True)
    broken += chain.from_iterable(reasons)
    levels += highest
    if not any(len(part) for part in sums):
        raise too_many_broken(settings, broken, len(images))
    return np.concatenate([part for part in sums if len(part)])


def _batch_sums(batch: _Batch) -> tuple[NDArray[np.int64], list[str], int]:
    sums, broken, highest = [], [], 0
    for image, content in zip(batch.images, contents_of(batch.images), strict=True):
        try:
            decoded = decode_image(image, content, batch.settings)
        except DataError as error:
            broken.append(str(error).split(";")[0])
            continue
        sums.append(_of_all_channels(channel_sums(decoded.pixels), batch))
        highest = max(highest, decoded.highest_level)
    return np.array(sums, dtype=np.int64), broken, highest


def _of_all_channels(sums: NDArray[np.int64], batch: _Batch) -> NDArray[np.int64]:
    """Gray image files among colored ones have three equal channels."""
    if len(sums) == 3 and batch.settings.source_kind.pixels is None:
        return sums[[0, 1, 1, 1, 2, 2, 2]]
    return sums


def _of_gray_once(measured: MeasuredChannels) -> MeasuredChannels:
    """A set whose channels are all equal is gray, and has one."""
    if len(set(zip(measured.mean, measured.std, strict=True))) > 1:
        return measured
    return MeasuredChannels(measured.mean[:1], measured.std[:1], measured.half_width[:1], measured.images)
