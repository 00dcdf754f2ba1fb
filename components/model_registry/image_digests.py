"""Which images a version was trained and chosen on, and which judged it, by the digests of their pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]  # the first 8 bytes of an image's
SKETCHED = 64


def unseen(images: Digests, seen: Digests) -> NDArray[np.bool_]:
    """Which images are not among those seen: bool (images,)."""
    return ~np.isin(images, seen)


def sketch(images: Digests) -> str:
    """The lowest digests of a set, which tell how much of it another set shares (Broder 1997): up to 1,024 letters."""
    return "".join(f"{digest:016x}" for digest in np.unique(images)[:SKETCHED].tolist())


def overlap(one: str, other: str) -> float:
    """Share of two sets' images that lie in both, from their sketches; exact for sets of up to 64 images."""
    sets = [set(_digests(text)) for text in (one, other)]
    lowest = sorted(sets[0] | sets[1])[:SKETCHED]
    return sum(digest in sets[0] and digest in sets[1] for digest in lowest) / len(lowest) if lowest else 0.0


def _digests(text: str) -> Sequence[int]:
    return [int(text[start : start + 16], 16) for start in range(0, len(text), 16)]
