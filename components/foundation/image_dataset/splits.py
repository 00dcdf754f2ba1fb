"""Digests of images, and the split that an image is put in when nothing else decides."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.schemas.images import SplitName

DIGEST_BYTES = 32


def content_digest(content: bytes) -> bytes:
    """SHA-256 of an image as it came: DIGEST_BYTES of them."""
    return hashlib.sha256(content).digest()


def digest_array(digests: Iterable[bytes]) -> NDArray[np.uint8]:
    """As they are written to files: uint8 (digests, DIGEST_BYTES)."""
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def digest_rows(array: NDArray[np.uint8]) -> list[bytes]:
    """What ``digest_array`` was made of."""
    content = array.tobytes()
    return [content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES)]


def split_of(digest: bytes, validation_fraction: float, test_fraction: float) -> SplitName:
    """The split of the image with this digest.

    The digest's first 64 bits, as a number in [0, 1), fall below ``test_fraction``, or
    below both fractions' sum, or above. So an image never moves when others are added, equal
    files share a split, and test images stay test images when ``validation_fraction`` changes.
    """
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test_fraction:
        return "test"
    if position < test_fraction + validation_fraction:
        return "validation"
    return "train"
