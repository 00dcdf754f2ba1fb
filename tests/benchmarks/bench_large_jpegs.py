"""JPEG files of 12 megapixels: decoded, named and scaled at full size and reduced (``data.large_jpegs``), in turns."""

import statistics
import sys
import time

import numpy as np
import simplejpeg
from figures import print_figure
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.picture_content import pixel_digest
from sanefit.components.foundation.image_dataset.prepared_pixels import Preparation, decode_file

PICTURES, HEIGHT, WIDTH = 12, 3000, 4000
DISCS, SMALLEST, LARGEST = 3000, 8, 900  # radii, pixels: edges at every scale, as in photos ("dead leaves")
REPEATS = 3
SIZES = (32, 64, 224)
WHITE = (255, 255, 255)


def main(pictures: int = PICTURES) -> None:
    files = [
        simplejpeg.encode_jpeg(picture(number), quality=90, colorsubsampling=("444", "420")[number % 2])
        for number in range(pictures)
    ]
    for image_size in SIZES:
        full, reduced = (Preparation(image_size, WHITE, 16, how) for how in ("full", "reduced"))
        times: dict[str, list[float]] = {"full": [], "reduced": []}
        for _ in range(REPEATS):
            before, seconds = _decoded(files, full)
            times["full"].append(seconds)
            after, seconds = _decoded(files, reduced)
            times["reduced"].append(seconds)
        full_seconds, seconds = (statistics.median(times[how]) for how in ("full", "reduced"))
        print_figure(
            f"JPEGs of 12 megapixels to {image_size} pixels, reduced",
            round(1000 * seconds / pictures, 1),
            "ms an image",
            REPEATS,
            peer=f"full size: {1000 * full_seconds / pictures:.1f} ms",
            ratio=round(full_seconds / seconds, 2),
            pictures=pictures,
            mean_shift=round(float(abs(after.mean((0, 1, 2)) - before.mean((0, 1, 2))).max()), 4),
            std_shift_percent=round(float(100 * abs(after.std((0, 1, 2)) / before.std((0, 1, 2)) - 1).max()), 3),
            mean_difference=round(float(abs(after - before).mean()), 3),
            largest_difference=float(abs(after - before).max()),
        )


def picture(seed: int) -> NDArray[np.uint8]:
    """Uint8 (HEIGHT, WIDTH, 3)."""
    random = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), random.integers(0, 256, 3), dtype=np.float32)
    for _ in range(DISCS):
        radius = int(min(SMALLEST / np.sqrt(random.random()), LARGEST))
        row, column = int(random.integers(0, HEIGHT)), int(random.integers(0, WIDTH))
        top, left = max(0, row - radius), max(0, column - radius)
        part = pixels[top : row + radius, left : column + radius]
        rows, columns = np.ogrid[top - row : top - row + part.shape[0], left - column : left - column + part.shape[1]]
        texture = random.normal(0, random.uniform(0, 25), (*part.shape[:2], 1))
        inside = rows**2 + columns**2 < radius**2
        part[inside] = (random.integers(0, 256, 3) + texture)[inside]
    pixels += random.normal(0, 4, (HEIGHT, WIDTH, 1))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _decoded(files: list[bytes], preparation: Preparation) -> tuple[NDArray[np.float64], float]:
    """All, and the seconds it took to decode, name and scale them."""
    started = time.perf_counter()
    decoded = [decode_file(file, "x", preparation) for file in files]
    for image in decoded:
        pixel_digest(image.unscaled)
    seconds = time.perf_counter() - started
    return np.stack([image.pixels for image in decoded]).astype(np.float64), seconds


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
