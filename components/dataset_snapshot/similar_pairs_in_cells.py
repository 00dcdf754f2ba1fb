"""The same as ``similar_pairs`` for sets that are too large to compare all pairs: pictures are compared within cells.

A cell is what lies nearest to its center, by a few rounds of k-means. Each picture is compared with those of the cells
whose centers are nearest to it: an inverted file, as in search engines for vectors (Jégou et al. 2011), but from both
sides. Of the copies among 50,000 pictures of CIFAR-10 and 5,000 planted ones, 99.7 % are found with 1,024 cells, for
one product in 30 (docs/benchmarks.md, A million images).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sanefit.components.dataset_snapshot.picture_frequencies import Floats
from sanefit.components.dataset_snapshot.similar_pairs import (
    FLAGS,
    MOST_SIMILAR,
    SIMILAR,
    best_of_each,
    places_of,
    written_over,
)
from sanefit.components.foundation.machine.parallel_work import InParallel

LOOKED_IN = 16  # cells for each picture
ROUNDS, OF_EACH = 3, 50  # of k-means, on so many pictures for each center
PICTURES_AT_ONCE, CELLS_AT_ONCE, LOOKED_THROUGH_AT_ONCE = 2048, 16, 2**17
ROWS_AT_ONCE, COLUMNS_AT_ONCE = 512, 512  # whose products stay in a core's own cache until they are looked at
MOST_WAITING = 2**21  # pairs, until the best of each picture are kept

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class _SimilarPairs:
    """``lower``, ``higher``: int32 numbers of pictures; ``similarity``: float32. A pair may be there twice."""

    lower: NDArray[np.int32]
    higher: NDArray[np.int32]
    similarity: Floats


def similar_pairs_in_cells(
    file: Path, first_new: int, in_parallel: InParallel, seed: int = 0
) -> tuple[NDArray[np.int32], Floats]:
    """As ``similar_pairs``, but for pairs that have no cell in common.

    Args:
        file: as there; another one is written beside it.
        first_new: as there.
        in_parallel: works on some cells at once.
        seed: of the centers.
    """
    low: Floats = np.load(file, mmap_mode="r")
    pictures = len(low)
    cells = 2 ** round(math.log2(pictures) / 2)
    with threadpool_limits(1):  # the same centers on however many cores
        centers = _centers(low, cells, np.random.default_rng(seed))
    cells_file = file.with_name("cells.npy")
    looked_in = min(LOOKED_IN, cells)
    found = np.lib.format.open_memmap(cells_file, "w+", np.uint16, (pictures, looked_in))
    starts = range(0, pictures, PICTURES_AT_ONCE)
    nearest = in_parallel(_nearest_cells, (_Pictures(file, start, centers, looked_in) for start in starts))
    for start, cells_of_some in zip(starts, nearest, strict=True):
        found[start : start + len(cells_of_some)] = cells_of_some
    found.flush()
    some_cells = (_Cells(file, cells_file, start, first_new) for start in range(0, cells, CELLS_AT_ONCE))
    kept = _best(in_parallel(_similar_in_cells, some_cells))
    return np.column_stack([kept.lower, kept.higher]), kept.similarity


def _centers(low: Floats, cells: int, random: np.random.Generator) -> Floats:
    """Of length 1, float32 (cells, frequencies); a center without pictures stays where it is."""
    sample = low[np.sort(random.choice(len(low), min(OF_EACH * cells, len(low)), replace=False))]
    centers = sample[random.choice(len(sample), cells, replace=False)]
    for _ in range(ROUNDS):
        parts = (sample[start : start + PICTURES_AT_ONCE] for start in range(0, len(sample), PICTURES_AT_ONCE))
        nearest = np.concatenate([(part @ centers.T).argmax(axis=1) for part in parts])
        sums = np.zeros_like(centers)
        np.add.at(sums, nearest, sample)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centers = np.where(length > 0, sums / np.maximum(length, np.float32(1e-6)), centers)
    return centers


@dataclass(frozen=True)
class _Pictures:
    """Some pictures from this one on, of those whose frequencies lie in a file."""

    file: Path
    start: int
    centers: Floats
    looked_in: int


def _nearest_cells(pictures: _Pictures) -> NDArray[np.uint16]:
    """The numbers of the nearest cells, the nearest one first; one that nobody has for a picture without contrast."""
    with threadpool_limits(1):
        low: Floats = np.load(pictures.file, mmap_mode="r")
        some = low[pictures.start : pictures.start + PICTURES_AT_ONCE]
        similarity = some @ pictures.centers.T
    last = pictures.looked_in - 1
    near = np.argpartition(-similarity, last, axis=1)[:, : last + 1]
    order = np.argsort(-np.take_along_axis(similarity, near, axis=1), axis=1, kind="stable")
    found = np.take_along_axis(near, order, axis=1).astype(np.uint16)
    found[~some.any(axis=1)] = len(pictures.centers)
    return found


@dataclass(frozen=True)
class _Cells:
    """Some cells from this one on."""

    file: Path
    cells_file: Path
    start: int
    first_new: int


def _similar_in_cells(cells: _Cells) -> _SimilarPairs:
    low: Floats = np.load(cells.file, mmap_mode="r")
    nearest: NDArray[np.uint16] = np.load(cells.cells_file, mmap_mode="r")
    looking, columns = _that_look_into(nearest, cells.start, cells.start + CELLS_AT_ONCE)
    looked_into = nearest[looking, columns]
    found: list[_SimilarPairs] = []
    with threadpool_limits(1):
        for cell in range(cells.start, cells.start + CELLS_AT_ONCE):
            in_cell = looked_into == cell
            rows, members = looking[in_cell], looking[in_cell & (columns == 0)]
            for row, left in _blocks(len(rows), len(members)):
                block = rows[row : row + ROWS_AT_ONCE], members[left : left + COLUMNS_AT_ONCE]
                found += _similar_in(low, *block, cells.first_new)
    return _best(iter(found))


def _that_look_into(nearest: NDArray[np.uint16], start: int, stop: int) -> tuple[Numbers, Numbers]:
    """Rising numbers of pictures, and which of their nearest cells are among these."""
    found = []
    for first in range(0, len(nearest), LOOKED_THROUGH_AT_ONCE):
        some = nearest[first : first + LOOKED_THROUGH_AT_ONCE]
        pictures, columns = np.nonzero((some >= start) & (some < stop))
        found.append((pictures + first, columns))
    pictures, columns = (np.concatenate(each) for each in zip(*found, strict=True))
    return pictures, columns


def _blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    return ((row, left) for left in range(0, columns, COLUMNS_AT_ONCE) for row in range(0, rows, ROWS_AT_ONCE))


def _similar_in(low: Floats, rows: Numbers, columns: Numbers, first_new: int) -> Iterator[_SimilarPairs]:
    """Pairs of a row's and a column's picture; of each picture a few before it, where all are similar."""
    similarity = np.matmul(low[rows], low[columns].T, out=written_over((len(rows), len(columns)), np.float32))
    flags = written_over((len(rows), -(-len(columns) // FLAGS) * FLAGS), np.bool_)
    flags[:, len(columns) :] = False
    np.greater(similarity, SIMILAR, out=flags[:, : len(columns)])
    which, where = places_of(flags)
    if len(which) <= MOST_SIMILAR * (len(rows) + len(columns)):
        yield _pairs(rows[which], columns[where], similarity[which, where], first_new)
        return
    for pictures, others, values in ((rows, columns, similarity), (columns, rows, similarity.T)):
        before = np.where(others < pictures[:, np.newaxis], values, np.float32(-1))
        best = np.argpartition(before, -min(MOST_SIMILAR, len(others)), axis=1)[:, -MOST_SIMILAR:]
        kept = np.take_along_axis(before, best, axis=1)
        which, place = np.nonzero(kept > SIMILAR)
        yield _pairs(pictures[which], others[best[which, place]], kept[which, place], first_new)


def _pairs(one: Numbers, other: Numbers, similarity: Floats, first_new: int) -> _SimilarPairs:
    lower, higher = np.minimum(one, other), np.maximum(one, other)
    kept = (lower < higher) & (higher >= first_new)
    return _SimilarPairs(lower[kept].astype(np.int32), higher[kept].astype(np.int32), similarity[kept])


def _best(found: Iterator[_SimilarPairs]) -> _SimilarPairs:
    """Each pair once, the most similar ones of each picture, by its number."""
    empty = np.empty(0, dtype=np.int32)
    waiting = [_SimilarPairs(empty, empty, np.empty(0, dtype=np.float32))]
    for some in found:
        waiting.append(some)
        if sum(len(each.lower) for each in waiting) > MOST_WAITING:
            waiting = [_joined(waiting)]
    return _joined(waiting)


def _joined(parts: list[_SimilarPairs]) -> _SimilarPairs:
    lower, higher = (np.concatenate([getattr(part, side) for part in parts]) for side in ("lower", "higher"))
    similarity = np.concatenate([part.similarity for part in parts])
    _, once = np.unique(higher.astype(np.int64) << 32 | lower, return_index=True)
    kept = once[best_of_each(higher[once], similarity[once])]
    return _SimilarPairs(lower[kept], higher[kept], similarity[kept])
