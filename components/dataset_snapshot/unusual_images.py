"""Images that are far darker, brighter, more blurred or sharper than the others of their set."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

What = Literal["dark", "bright", "blurred", "sharp"]
FAR = 6.0  # robust standard deviations
MOST = 6  # of each kind
SPREAD = 1.4826  # standard deviations in a median absolute deviation, of normal values


def unusual_images(thumbnails: NDArray[np.uint8]) -> list[tuple[int, What]]:
    """The farthest first, a few of each kind.

    Brightness is the mean level; sharpness the mean change between neighboring pixels, as its logarithm.

    Args:
        thumbnails: uint8 (images, side, side).

    Returns:
        Numbers of images, and what is unusual.
    """
    if not len(thumbnails):
        return []
    levels = thumbnails.astype(np.float32)
    change = np.abs(np.diff(levels, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(levels, axis=2)).mean(axis=(1, 2))
    found: list[tuple[int, What]] = []
    kinds: tuple[tuple[NDArray[np.float32], What, What], ...] = (
        (levels.mean(axis=(1, 2)), "dark", "bright"),
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
