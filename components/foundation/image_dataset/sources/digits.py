"""``digits``: nothing to download."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from components.foundation.image_dataset.sources.source_image import SourceImage


def digits_pixels(content: bytes) -> NDArray[np.uint8]:
    """The uint8 (8, 8, 1) pixels of an image of the source ``digits``."""
    return np.frombuffer(content, dtype=np.uint8).reshape(8, 8, 1)


def read_digits() -> Iterator[SourceImage]:
    """scikit-learn's 1,797 scans of handwritten digits, as uint8."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    pixels = np.rint(scans * (255 / 16)).astype(np.uint8)  # the scans hold 0..16
    for number, (scan, label) in enumerate(zip(pixels, labels, strict=True)):
        yield SourceImage(str(label), f"{label}/{number:04d}", scan.tobytes())
