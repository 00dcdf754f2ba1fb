"""A data set larger than the memory that a process may take: snapshot, statistics, an epoch of training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

MEBIBYTE = 2**20
LIMIT = 256 * MEBIBYTE  # of address space, beyond what Python and torch take before they begin
SIDE = 192
SCRIPT = Path(__file__).with_name("train_in_little_memory.py")


def make_images(folder: Path, count: int) -> None:
    """Photographs' size of file for their size, quick to make: a few colors, and noise in one corner."""
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = np.full((SIDE, SIDE, 3), random.integers(0, 256, 3), dtype=np.uint8)
        pixels[:8, :8] = random.integers(0, 256, (8, 8, 3))
        path = folder / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def run(folder: Path, limit: int) -> dict[str, float]:
    command = [sys.executable, str(SCRIPT), str(folder), str(limit)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # else each thread reserves 64 MiB of addresses
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    result: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    print(result)
    return result


@pytest.mark.timeout(900)
def test_three_times_the_memory_allowed_is_trained_on_and_twice_as_much_takes_no_more(tmp_path: Path) -> None:
    per_image = SIDE * SIDE * 3
    few = 3 * LIMIT // per_image + 1
    results = []
    for count in (few, 2 * few):
        make_images(tmp_path / f"{count}", count)
        results.append(run(tmp_path / f"{count}", LIMIT))
        assert results[-1]["images"] == count
        assert results[-1]["bytes"] >= 3 * LIMIT
        assert results[-1]["streamed"]
    assert results[1]["peak"] < 1.1 * results[0]["peak"]
    assert results[1]["grown"] < LIMIT
