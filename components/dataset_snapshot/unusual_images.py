"""Images that are far darker, brighter, more blurred or sharper than the others of their set."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.picture_frequencies import ManyThumbnails

What = Literal["dark", "bright", "blurred", "sharp"]
FAR = 6.0  # robust standard deviations
MOST = 6  # of each kind
AT_ONCE = 10_000
SPREAD = 1.4826  # standard deviations in a median absolute deviation, of normal values


def unusual_images(thumbnails: ManyThumbnails) -> list[tuple[int, What]]:
    """The farthest first, a few of each kind.

    Brightness is the mean level; sharpness the mean change between neighboring pixels, as its logarithm.

    Args:
        thumbnails: uint8 (images, side, side).

    Returns:
        Numbers of images, and what is unusual.
    """
    if not len(thumbnails):
        return []
    brightness, change = (np.empty(len(thumbnails), dtype=np.float32) for _ in range(2))
    for start in range(0, len(thumbnails), AT_ONCE):
        levels = thumbnails[start : start + AT_ONCE].astype(np.float32)
        down, right = (np.abs(np.diff(levels, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
        brightness[start : start + AT_ONCE] = levels.mean(axis=(1, 2))
        change[start : start + AT_ONCE] = down + right
    found: list[tuple[int, What]] = []
    kinds: tuple[tuple[NDArray[np.float32], What, What], ...] = (
        (brightness, "dark", "bright"),
        (np.log1p(change), "blurred", "sharp"),
    )
    for values, low, high in kinds:
        far = _robust_deviations(values)
        order = np.argsort(far, kind="stable")
        found += [(int(number), low) for number in order[:MOST] if far[number] < -FAR]
        found += [(int(number), high) for number in order[::-1][:MOST] if far[number] > FAR]
    return found


def _robust_deviations(values: NDArray[np.float32]) -> NDArray[np.float32]:
    middle = np.median(values)
    spread = SPREAD * np.median(np.abs(values - middle))
    deviations: NDArray[np.float32] = (values - middle) / max(float(spread), 1e-6)
    return deviations if spread > 0 else np.zeros_like(values)
