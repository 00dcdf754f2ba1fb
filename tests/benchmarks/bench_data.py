"""Channel statistics: sanefit beside the usual code, torchvision's ImageFolder and a DataLoader with running sums.

Every measurement runs in a process of its own, so that its peak memory is its own; each is the median of three, and
ours and the peer's take turns.
"""

import json
import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cifar10 import unpacked_cifar10
from figures import print_figure
from numpy.typing import NDArray
from PIL import Image

from sanefit.components.channel_stats.channel_stats import measure_channel_stats, shard_sums
from sanefit.components.channel_stats.source_statistics import measure_images
from sanefit.components.dataset_snapshot.near_duplicates import near_duplicate_pairs
from sanefit.components.dataset_snapshot.picture_frequencies import low_frequencies, whitening_of
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.picture_content import thumbnails
from sanefit.components.foundation.image_dataset.shard_rows import ShardRows
from sanefit.components.foundation.image_dataset.shards import open_split
from sanefit.components.foundation.image_dataset.sources.listing import list_source
from sanefit.components.foundation.machine.parallel_work import working_in_parallel
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.statistics import StatsSettings

WORKERS = 2
REPEATS = 3
PHOTOS, PHOTO_SIZE = 400, (500, 375)
HASH_DISTANCE = 3  # of 35 bits
READ_BYTES = 512 * 2**20  # many times the caches
PEER = "ImageFolder + ToTensor + DataLoader(num_workers=2), running sums"
Measured = dict[str, float]


def main() -> None:
    with unpacked_cifar10(__doc__) as folder:
        make_photos(folder / "photos")
        _photos(folder / "photos")
        _cifar(folder / "cifar" / "train")
        _snapshot(folder)


def make_photos(folder: Path) -> None:
    """Smooth shapes with a camera's noise: 30 kB each."""
    random = np.random.default_rng(0)
    for number in range(PHOTOS):
        small = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        pixels = np.asarray(small.resize(PHOTO_SIZE, Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = (pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        path = folder / ("a", "b")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(path, quality=85)


def _photos(folder: Path) -> None:
    ours, usual = _medians(lambda: exact(folder), lambda: usual_code(folder))
    _print("exact statistics, photos", ours, usual, PHOTOS)


def _cifar(folder: Path) -> None:
    images = 50_000
    ours, usual = _medians(lambda: exact(folder), lambda: usual_code(folder))
    _print("exact statistics, CIFAR-10", ours, usual, images)
    sampled, usual = _medians(lambda: sample(folder, 1), lambda: usual_code(folder, listing_timed=False))
    _print_sampled("sampled statistics to 1 of 255, CIFAR-10", sampled, usual)
    listing = _median(lambda: _timed(lambda: len(list_source(f"folder:{folder}", folder).images)))
    print_figure("listing, CIFAR-10", round(listing["seconds"], 3), "s", REPEATS)
    ten_times = _median(lambda: sample(folder, 10))
    growth = ten_times["seconds"] / sampled["seconds"]
    print_figure(
        "sampled statistics, growth of time from 50,000 to 500,000 images",
        round(growth, 3),
        "times",
        REPEATS,
        images=ten_times["images"],
    )


def _snapshot(folder: Path) -> None:
    storage = str(folder / "storage")
    settings = DataSettings(source=f"folder:{folder / 'cifar'}")
    taken = _in_process(lambda: _timed(lambda: take_snapshot(settings, storage, _quiet, WORKERS), 50_000))
    print_figure("snapshot, CIFAR-10", round(50_000 / taken["seconds"]), "images/s", 1, peak_mb=taken["peak_mb"])
    again = _in_process(lambda: _timed(lambda: take_snapshot(settings, storage, _quiet, WORKERS), 50_000))
    print_figure("snapshot again, nothing new", round(again["seconds"], 3), "s", 1, peak_mb=again["peak_mb"])
    dataset = take_snapshot(settings, storage, _quiet, WORKERS)
    train = open_split(dataset, "train")
    step = _median(lambda: _timed(lambda: measure_channel_stats(dataset, StatsSettings(), _quiet, WORKERS), len(train)))
    print_figure("statistics step, SHA-256 compared", round(len(train) / step["seconds"]), "images/s", REPEATS)
    _shards(folder, train.image_shape)
    _near_duplicates(np.concatenate([thumbnails(block) for block in train.blocks()]))


def _near_duplicates(made: NDArray[np.uint8]) -> None:
    """Beside 64 bits of the same frequencies, as perceptual hashes have them, and all their Hamming distances."""
    ours = _in_process(lambda: _timed(lambda: len(near_duplicate_pairs(made, 0, WORKERS)), len(made)))
    usual = _in_process(lambda: _timed(lambda: _hashed_pairs(made), len(made)))
    print_figure(
        "near-duplicates, CIFAR-10's training split",
        round(ours["seconds"], 2),
        "s",
        1,
        pairs=ours["images"],
        peak_mb=ours["peak_mb"],
        peer=f"64-bit hashes, pairs within {HASH_DISTANCE} bits, in numpy, one process",
        ratio=round(usual["seconds"] / ours["seconds"], 2),
        peer_value=round(usual["seconds"], 2),
        peer_pairs=usual["images"],
    )
    many = _mixed(made, 500_000)
    large = _in_process(lambda: _timed(lambda: len(near_duplicate_pairs(many, 0, WORKERS)), len(many)))
    print_figure("near-duplicates, 500,000 thumbnails", round(large["seconds"], 1), "s", 1, peak_mb=large["peak_mb"])


def _mixed(made: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Means of two thumbnails, which look like neither."""
    random = np.random.default_rng(0)
    mixed = np.empty((count, *made.shape[1:]), dtype=np.uint8)
    for start in range(0, count, 10_000):
        one, other = random.integers(0, len(made), (2, 10_000))
        mixed[start : start + 10_000] = (made[one] // 2 + made[other] // 2)[: count - start]
    return mixed


def _hashed_pairs(made: NDArray[np.uint8]) -> int:
    low = low_frequencies(made, whitening_of(made))
    bits = np.packbits(np.pad(low > 0, ((0, 0), (0, 64 - low.shape[1]))), axis=1).view(np.uint64)[:, 0]
    return sum(
        int((np.bitwise_count(bits[start : start + 64, np.newaxis] ^ bits[:start]) <= HASH_DISTANCE).sum())
        for start in range(64, len(bits), 64)
    )


def _shards(folder: Path, shape: tuple[int, int, int]) -> None:
    """Finished files of pixels, in the page cache, as large as READ_BYTES in all."""
    files = 2 * WORKERS
    images = READ_BYTES // files // math.prod(shape)
    shards = []
    for number in range(files):
        path = folder / f"{number}.npy"
        np.save(path, np.random.default_rng(number).integers(0, 256, (images, *shape), dtype=np.uint8))
        shards.append(ShardRows(str(path), path, "", np.arange(images), 3))
    read, summed = [], []
    with working_in_parallel(WORKERS) as in_parallel:
        for _ in range(2 * REPEATS + 1):  # the first round maps the files
            for function, times in ((_read, read), (shard_sums, summed)):
                start = time.perf_counter()
                list(in_parallel(function, shards))
                times.append(time.perf_counter() - start)
    size = files * images * math.prod(shape)
    bandwidth, ours = (size / statistics.median(times[1:]) / 1e9 for times in (read, summed))
    print_figure(
        "exact statistics over finished shards",
        round(ours, 2),
        "GB/s",
        2 * REPEATS,
        peer="numpy reads the same mapped files, both cores",
        ratio=round(ours / bandwidth, 3),
        peer_value=round(bandwidth, 2),
    )


def _read(shard: ShardRows) -> int:
    """Add up 8 bytes at a time: as fast as the memory gives them."""
    pixels = np.load(shard.path, mmap_mode="r")
    return int(pixels.reshape(-1)[: pixels.size // 8 * 8].view(np.uint64).sum())


def exact(folder: Path) -> Measured:
    """All images, from listing on."""

    def measure() -> int:
        images = list_source(f"folder:{folder}", folder).images
        return measure_images(images, _settings(folder), StatsSettings(), 0, WORKERS).measured.images

    return _timed(measure)


def sample(folder: Path, times: int) -> Measured:
    """The files listed, each so many times; what is timed begins with the list."""
    images = list_source(f"folder:{folder}", folder).images * times
    stats = StatsSettings(mode="sampled", tolerance=1.0)
    return _timed(lambda: measure_images(images, _settings(folder), stats, 0, WORKERS).measured.images)


def _settings(folder: Path) -> DataSettings:
    return DataSettings(source=f"folder:{folder}")


def usual_code(folder: Path, *, listing_timed: bool = True) -> Measured:
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    def listed() -> datasets.ImageFolder:
        return datasets.ImageFolder(str(folder), transforms.ToTensor())

    def measure(images: datasets.ImageFolder) -> int:
        total, squares, pixels = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
        for batch, _ in DataLoader(images, batch_size=64, num_workers=2):
            total += batch.sum((0, 2, 3))
            squares += (batch**2).sum((0, 2, 3))
            pixels += batch.numel() // 3
        _ = total / pixels, (squares / pixels - (total / pixels) ** 2).sqrt()
        return len(images)

    if listing_timed:
        return _timed(lambda: measure(listed()))
    images = listed()
    return _timed(lambda: measure(images))


def _timed(measure: Callable[[], object], images: int | None = None) -> Measured:
    start = time.perf_counter()
    measured = measure()
    seconds = time.perf_counter() - start
    counted = measured if images is None else images
    assert isinstance(counted, int)
    return {"seconds": seconds, "images": counted, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    """Of this process and its children, each at its own peak."""
    own, largest_child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round((own + WORKERS * largest_child) / 1024)


def _in_process(measure: Callable[[], Measured]) -> Measured:
    """What it returns, from a process of its own."""
    reading, writing = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: writing.send_bytes(_json(measure)))
    process.start()
    writing.close()
    result: Measured = json.loads(reading.recv_bytes())
    process.join()
    return result


def _json(measure: Callable[[], Measured]) -> bytes:
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    return json.dumps(measure()).encode()


def _median(measure: Callable[[], Measured]) -> Measured:
    runs = sorted((_in_process(measure) for _ in range(REPEATS)), key=lambda run: run["seconds"])
    return runs[len(runs) // 2]


def _medians(ours: Callable[[], Measured], usual: Callable[[], Measured]) -> tuple[Measured, Measured]:
    """They take turns."""
    pairs = [(_in_process(ours), _in_process(usual)) for _ in range(REPEATS)]
    first, second = (sorted(runs, key=lambda run: run["seconds"])[REPEATS // 2] for runs in zip(*pairs, strict=True))
    return first, second


def _print(figure: str, ours: Measured, usual: Measured, images: int) -> None:
    print_figure(
        figure,
        round(images / ours["seconds"]),
        "images/s",
        REPEATS,
        peer=PEER,
        ratio=round(usual["seconds"] / ours["seconds"], 2),
        peer_value=round(images / usual["seconds"]),
        peak_mb=ours["peak_mb"],
        peer_peak_mb=usual["peak_mb"],
    )


def _print_sampled(figure: str, ours: Measured, usual: Measured) -> None:
    print_figure(
        figure,
        round(ours["seconds"], 4),
        "s",
        REPEATS,
        peer=f"{PEER}, all 50,000 images",
        ratio=round(usual["seconds"] / ours["seconds"], 1),
        images=ours["images"],
        peak_mb=ours["peak_mb"],
        peer_value=round(usual["seconds"], 2),
        peer_peak_mb=usual["peak_mb"],
    )


def _quiet(_: str) -> None:
    pass


if __name__ == "__main__":
    main()
