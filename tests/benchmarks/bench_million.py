"""A snapshot, and its statistics, of so many distinct JPEG files of 32 pixels, and of a tenth as many.

Memory is that of the process and its workers, pages that they share counted once (PSS): flat when both sizes need about
as much. Takes 3.5 kB of disk for each image, in the temporary folder, and removes it in the end.
"""

import json
import multiprocessing
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import simplejpeg
from figures import print_figure
from numpy.typing import NDArray

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import StatsSettings

IMAGES, CLASSES, SIDE, GRID = 1_000_000, 10, 32, 8
MADE_AT_ONCE = 10_000
LOOK_SECONDS = 0.1
TAR_BLOCK = 512


def main(images: int = IMAGES) -> None:
    with tempfile.TemporaryDirectory(prefix="sanefit-bench-") as folder:
        for count in (images // 10, images):
            archive, storage = Path(folder, f"{count}.tar"), Path(folder, f"storage-{count}")
            write_archive(archive, count)
            _print(count, "snapshot", *_measured(_snapshot, archive, storage))
            _print(count, "snapshot with nothing new", *_measured(_snapshot, archive, storage))
            _print(count, "statistics", *_measured(_statistics, archive, storage))
            archive.unlink()


def write_archive(archive: Path, images: int) -> None:
    """Distinct pictures of noise in 8x8 cells, brighter towards one side by their class, and with finer noise."""
    with archive.open("wb") as opened:
        for start in range(0, images, MADE_AT_ONCE):
            count = min(MADE_AT_ONCE, images - start)
            for number, pixels in enumerate(_pictures(start, count), start):
                content = simplejpeg.encode_jpeg(pixels, quality=85)
                member = tarfile.TarInfo(f"class{number % CLASSES}/{number:07d}.jpg")
                member.size = len(content)
                opened.write(member.tobuf(tarfile.USTAR_FORMAT) + content + b"\0" * (-len(content) % TAR_BLOCK))
        opened.write(b"\0" * 2 * TAR_BLOCK)


def _pictures(start: int, count: int) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(start)
    cells = random.integers(40, 216, (count, GRID, GRID, 3), dtype=np.uint8)
    fine = random.integers(0, 16, (count, SIDE, SIDE, 1), dtype=np.uint8)
    slope = np.linspace(0, 24, SIDE, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    for number in range(count):
        picture = cells[number].repeat(SIDE // GRID, axis=0).repeat(SIDE // GRID, axis=1) + fine[number]
        yield np.ascontiguousarray(picture + (slope if number % 2 else slope[::-1]))


def _snapshot(archive: Path, storage: Path) -> int:
    dataset = take_snapshot(DataSettings(source=f"tar:{archive}"), str(storage), _silent)
    Path(storage, "dataset.json").write_text(dataset.model_dump_json())
    return sum(index.images for index in read_manifest(dataset).splits.values())


def _statistics(_: Path, storage: Path) -> int:
    dataset = DatasetReference.model_validate_json(Path(storage, "dataset.json").read_text())
    return measure_channel_stats(dataset, StatsSettings(), _silent).images


def _silent(_: str) -> None:
    pass


def _measured(work: Callable[[Path, Path], int], archive: Path, storage: Path) -> tuple[int, float, int]:
    """Images, seconds, and the most bytes at once, in a process of its own, started anew."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(work, archive, storage, theirs))
    process.start()
    peak = 0
    while not ours.poll(LOOK_SECONDS):
        peak = max(peak, _bytes_of(process.pid))
        if not process.is_alive():
            raise SystemExit("the measured process ended without a word")
    images, seconds = json.loads(ours.recv())
    process.join()
    return images, seconds, peak


def _work(work: Callable[[Path, Path], int], archive: Path, storage: Path, told: Connection) -> None:
    started = time.perf_counter()
    images = work(archive, storage)
    told.send(json.dumps([images, time.perf_counter() - started]))


def _bytes_of(pid: int | None) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        pass
    return total


def _print(count: int, what: str, images: int, seconds: float, peak: int) -> None:
    about = f"{what}, {count:,} JPEG files of 32 pixels"
    print_figure(about, round(images / seconds), "images/s", 1, images=images, seconds=round(seconds, 1))
    print_figure(f"{about}, peak memory", round(peak / 1e6), "MB", 1, images=images)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
