"""Which split an image belongs to: a function of its content alone."""

import hashlib

from sanefit.components.foundation.schemas.images import SplitName


def content_digest(content: bytes) -> bytes:
    """SHA-256 of an image as it came, 32 bytes."""
    return hashlib.sha256(content).digest()


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
