"""Splits as numbers, and which split each of many digests is in."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from sanefit.components.dataset_snapshot.digest_table import Digests, DigestTable, as_bytes, as_rows, digests_in
from sanefit.components.foundation.schemas.images import SplitName

HELD_OUT_FIRST: tuple[SplitName, ...] = ("test", "validation", "train")
NO_SPLIT = len(HELD_OUT_FIRST)
SPLIT_OF_CODE: tuple[SplitName | None, ...] = (*HELD_OUT_FIRST, None)
Codes = NDArray[np.int8]  # places in SPLIT_OF_CODE: of several, the lowest is held out most


def code_of(split: SplitName | None) -> int:
    """Of one split, or of none."""
    return SPLIT_OF_CODE.index(split)


def codes_of(splits: Iterable[SplitName | None]) -> Codes:
    """Of many: int8 (splits,)."""
    return np.fromiter(map({split: code for code, split in enumerate(SPLIT_OF_CODE)}.__getitem__, splits), np.int8)


def split_named(code: int) -> SplitName:
    """Of an image that is in one."""
    return HELD_OUT_FIRST[int(code)]


def codes_by_content(digests: Digests, validation_fraction: float, test_fraction: float) -> Codes:
    """As ``split_of``, of many: int8 (digests,)."""
    positions = as_rows(digests)[:, :8].copy().view(">u8")[:, 0].astype(np.float64) / 2**64
    held_out = np.where(positions < test_fraction + validation_fraction, code_of("validation"), code_of("train"))
    return np.where(positions < test_fraction, code_of("test"), held_out).astype(np.int8)


class DigestSplits(Mapping[bytes, SplitName]):
    """The split that each digest is in.

    Args:
        splits: the first ones.
    """

    def __init__(self, splits: Mapping[bytes, SplitName] | None = None) -> None:
        self._table = DigestTable(np.int8)
        if splits:
            self.hold_out(digests_in(splits), codes_of(list(splits.values())))

    def hold_out(self, digests: Digests, codes: Codes) -> None:
        """Put each digest, which comes once, in a split, unless it is held out more already."""
        known, before = self._table.find(digests)
        self._table.add(digests, np.where(known, np.minimum(before, codes), codes))

    def codes(self, digests: Digests) -> Codes:
        """Of each digest; NO_SPLIT where it is in none."""
        known, codes = self._table.find(digests)
        return np.where(known, codes, NO_SPLIT).astype(np.int8)

    def without(self, split: SplitName) -> "DigestSplits":
        """Those that are in another split."""
        digests, codes = self.arrays()
        others = codes != code_of(split)
        found = DigestSplits()
        found.hold_out(digests[others], codes[others])
        return found

    def arrays(self) -> tuple[Digests, Codes]:
        """All digests, rising, and their splits."""
        return self._table.items()

    def __getitem__(self, digest: bytes) -> SplitName:
        split = SPLIT_OF_CODE[int(self.codes(digests_in([digest]))[0])]
        if split is None:
            raise KeyError(digest)
        return split

    def __iter__(self) -> Iterator[bytes]:
        return map(as_bytes, self.arrays()[0])

    def __len__(self) -> int:
        return len(self.arrays()[0])


def digest_splits(splits: Mapping[bytes, SplitName]) -> DigestSplits:
    """As columns, whatever they came as."""
    return splits if isinstance(splits, DigestSplits) else DigestSplits(splits)
