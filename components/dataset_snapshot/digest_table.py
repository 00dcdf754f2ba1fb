"""Values by digest, as sorted columns: for a million digests a twentieth of what a dictionary takes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.splits import DIGEST_BYTES, digest_array

DIGEST = np.dtype(
    f"S{DIGEST_BYTES}"
)  # compared byte by byte; zeros at its end are as good as none, for all are as long
Digests = NDArray[np.bytes_]


def digests_of(rows: NDArray[np.uint8]) -> Digests:
    """From uint8 (digests, 32) to (digests,), without a copy where that can be."""
    return np.ascontiguousarray(rows).reshape(-1, DIGEST_BYTES).view(DIGEST)[:, 0]


def digests_in(digests: Iterable[bytes]) -> Digests:
    """The same of bytes."""
    return digests_of(digest_array(digests))


def as_rows(digests: Digests) -> NDArray[np.uint8]:
    """What ``digests_of`` was made of: uint8 (digests, 32)."""
    return np.ascontiguousarray(digests).view(np.uint8).reshape(-1, DIGEST_BYTES)


def as_bytes(digest: np.bytes_) -> bytes:
    """One digest, with the zeros at its end."""
    return bytes(digest).ljust(DIGEST_BYTES, b"\0")


def are_among(digests: Digests, rising: Digests) -> NDArray[np.bool_]:
    """Whether each is one of others that are sorted; ``np.isin`` would copy and sort all of both."""
    if not len(rising):
        return np.zeros(len(digests), dtype=np.bool_)
    found: NDArray[np.bool_] = rising[np.minimum(np.searchsorted(rising, digests), len(rising) - 1)] == digests
    return found


class DigestTable:
    """Digests, each with a value; more can be added, in parts that are merged as they grow alike.

    Args:
        dtype: of the values.
        first: whether of several values for a digest the first one counts; else the last one.
    """

    def __init__(self, dtype: Any, *, first: bool = False) -> None:
        self._dtype, self._first = np.dtype(dtype), first
        self._parts: list[tuple[Digests, NDArray[Any]]] = []

    def add(self, digests: Digests, values: NDArray[Any]) -> None:
        """Add so many digests, with the value of each."""
        if not len(digests):
            return
        self._parts.append(self._sorted(digests, values.astype(self._dtype)))
        while len(self._parts) > 1 and len(self._parts[-2][0]) < 2 * len(self._parts[-1][0]):
            self._merge_last()

    def _merge_last(self) -> None:
        (one, one_values), (other, other_values) = self._parts[-2:]
        merged = self._sorted(np.concatenate([one, other]), np.concatenate([one_values, other_values]))
        self._parts[-2:] = [merged]

    def _sorted(self, digests: Digests, values: NDArray[Any]) -> tuple[Digests, NDArray[Any]]:
        order = np.argsort(digests, kind="stable")
        digests = digests[order]
        differs = digests[1:] != digests[:-1]
        counts = np.concatenate([[True], differs] if self._first else [differs, [True]])
        return digests[counts], values[order[counts]]

    def find(self, digests: Digests) -> tuple[NDArray[np.bool_], NDArray[Any]]:
        """Whether each digest is known, bool (digests,), and its value, (digests,), or 0."""
        known, values = np.zeros(len(digests), dtype=np.bool_), np.zeros(len(digests), dtype=self._dtype)
        order = np.argsort(digests, kind="stable")  # searched in order, a third of the time
        asked = digests[order]
        for part, of_part in self._parts[::-1] if self._first else self._parts:
            places = np.minimum(np.searchsorted(part, asked), len(part) - 1)
            found = part[places] == asked
            known[order[found]] = True
            values[order[found]] = of_part[places[found]]
        return known, values

    def items(self) -> tuple[Digests, NDArray[Any]]:
        """All digests, rising, and their values."""
        while len(self._parts) > 1:
            self._merge_last()
        return self._parts[0] if self._parts else (np.empty(0, DIGEST), np.empty(0, self._dtype))
