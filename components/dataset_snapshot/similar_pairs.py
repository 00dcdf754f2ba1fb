"""Each picture beside those before it that are most similar: all pairs are compared, as products of matrices.

No bound that loses no pair spares much of it: what is looked for are correlations from 0.65 in 35 dimensions that
whitening has made equal; by 16 of them, a fifth of all pairs may have it (docs/benchmarks.md, A million images).
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sanefit.components.dataset_snapshot.picture_frequencies import Floats
from sanefit.components.foundation.machine.parallel_work import InParallel

SIMILAR = 0.65  # correlation from which a pair is looked at closely
MOST_SIMILAR = 8  # of each picture: enough to connect copies, however many there are
ROWS_AT_ONCE, COLUMNS_AT_ONCE, BLOCKS_AT_ONCE = 512, 4096, 4
CACHED_COLUMNS = 512  # whose products with so many rows stay in a core's own cache, 1 MB, until they are looked at
FLAGS = 8  # bytes that are looked at as one number

_Span = tuple[int, int]
_Similar = tuple[NDArray[np.int64], NDArray[np.int64], Floats]  # rows, columns and correlations


def similar_pairs(file: Path, first_new: int, in_parallel: InParallel) -> tuple[NDArray[np.int32], Floats]:
    """Each picture from ``first_new`` on beside the most similar ones before it, and how similar they are.

    Args:
        file: float32 (pictures, frequencies), of length 1, or 0, as NumPy saves it.
        first_new: pairs of two pictures before this one are left out; at least one picture is not.
        in_parallel: works on blocks of rows.

    Returns:
        int32 (pairs, 2), the lower number first, and float32 (pairs,), correlations above ``SIMILAR``; by the higher
        number, of each the most similar one first.
    """
    pictures = len(np.load(file, mmap_mode="r"))
    tasks = (_Rows(file, start) for start in range(first_new, pictures, ROWS_AT_ONCE * BLOCKS_AT_ONCE))
    found = list(in_parallel(_similar_rows, tasks))
    return np.concatenate([pairs for pairs, _ in found]), np.concatenate([similarity for _, similarity in found])


@dataclass(frozen=True)
class _Rows:
    """So many pictures from this one on, of those whose frequencies lie in a file."""

    file: Path
    start: int


def _similar_rows(rows: _Rows) -> tuple[NDArray[np.int32], Floats]:
    with threadpool_limits(1):  # the other processes have the other cores
        low: Floats = np.load(rows.file, mmap_mode="r")
        last = min(rows.start + ROWS_AT_ONCE * BLOCKS_AT_ONCE, len(low))
        blocks = [
            _similar_block(low, start, min(start + ROWS_AT_ONCE, last))
            for start in range(rows.start, last, ROWS_AT_ONCE)
        ]
    return np.concatenate([pairs for pairs, _ in blocks]), np.concatenate([values for _, values in blocks])


def _similar_block(low: Floats, start: int, stop: int) -> tuple[NDArray[np.int32], Floats]:
    parts = [
        _similar_in(low, (start, stop), (left, min(left + COLUMNS_AT_ONCE, stop)))
        for left in range(0, stop, COLUMNS_AT_ONCE)
    ]
    rows, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    kept = best_of_each(rows, values)
    return np.column_stack([columns[kept], rows[kept] + start]).astype(np.int32), values[kept]


def _similar_in(low: Floats, rows: _Span, columns: _Span) -> _Similar:
    """What is similar, by row within its block and by column; a few of each row where all the set is."""
    found: list[_Similar] = []
    for left in range(columns[0], columns[1], CACHED_COLUMNS):
        similarity = _products(low, rows, (left, min(left + CACHED_COLUMNS, columns[1])))
        which, where = places_of(np.greater(similarity, SIMILAR, out=written_over(similarity.shape, np.bool_)))
        found.append((which, where + left, similarity[which, where]))
        if sum(len(which) for which, _, _ in found) > MOST_SIMILAR * (rows[1] - rows[0]):
            return _few_of_each(_products(low, rows, columns), columns[0])
    which, where, values = (np.concatenate(each) for each in zip(*found, strict=True))
    return which, where, values


def _products(low: Floats, rows: _Span, columns: _Span) -> Floats:
    """Correlations; -1 where the column is no picture before that of the row."""
    found: Floats = written_over((rows[1] - rows[0], columns[1] - columns[0]), np.float32)
    np.matmul(low[slice(*rows)], low[slice(*columns)].T, out=found)
    if columns[1] > rows[0]:
        found[np.arange(*columns) >= np.arange(*rows)[:, np.newaxis]] = -1
    return found


def places_of(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of what is set, row by row; most columns hold nothing, which is seen for several at once."""
    if flags.shape[1] % FLAGS:
        rows, columns = np.nonzero(flags)
        return rows, columns
    groups = np.flatnonzero(np.bitwise_or.reduce(flags.view(np.uint64), axis=0))
    hopeful = (groups[:, np.newaxis] * FLAGS + np.arange(FLAGS)).ravel()
    rows, places = np.nonzero(flags[:, hopeful])
    return rows, hopeful[places]


def _few_of_each(similarity: Floats, left: int) -> _Similar:
    columns = np.argpartition(similarity, -min(MOST_SIMILAR, similarity.shape[1]), axis=1)[:, -MOST_SIMILAR:]
    rows = np.repeat(np.arange(len(similarity)), columns.shape[1])
    flat = columns.ravel()
    chosen = similarity[rows, flat] > SIMILAR
    rows, flat = rows[chosen], flat[chosen]
    return rows, flat + left, similarity[rows, flat]


def best_of_each(rows: NDArray[np.integer[Any]], similarity: Floats) -> NDArray[np.int64]:
    """Places of the ``MOST_SIMILAR`` highest values of each row, in the order of rows."""
    order = np.lexsort((-similarity, rows))
    ordered = rows[order]
    first = np.searchsorted(ordered, ordered)
    return order[np.arange(len(order)) - first < MOST_SIMILAR]


@cache
def _memory(dtype: type) -> NDArray[Any]:
    return np.empty(ROWS_AT_ONCE * COLUMNS_AT_ONCE, dtype=dtype)


def written_over(shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """Memory of a block; to get new one for each takes four times as long as what is done with it."""
    return _memory(dtype)[: math.prod(shape)].reshape(shape)


def is_best(pairs: NDArray[np.int32], similarity: Floats) -> NDArray[np.bool_]:
    """Which pairs are the most similar one of either of their pictures: bool (pairs,)."""
    best = np.zeros(len(pairs), dtype=np.bool_)
    for column in (0, 1):
        order = np.lexsort((-similarity, pairs[:, column]))
        picture = pairs[order, column]
        first = np.ones(len(pairs), dtype=np.bool_)
        first[1:] = picture[1:] != picture[:-1]
        best[order[first]] = True
    return best
