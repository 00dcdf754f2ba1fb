"""Pictures that are nearly the same: encoded anew, scaled, cropped a little, brighter."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sanefit.components.dataset_snapshot.picture_frequencies import (
    CUTS,
    UNCUT,
    Floats,
    Thumbnails,
    Whitening,
    low_frequencies,
    whitening_of,
    window_similarity,
)
from sanefit.components.foundation.machine.parallel_work import InParallel, working_in_parallel

SIMILAR = 0.65  # correlation from which a pair is looked at closely
NEAR = 0.94  # correlation of copies, over a window of one of them
# Nor is anything a copy that is not this much nearer than what lies around, as squared distances.
NEARER = 1 / 6
AROUND, CROWDED = 10, 0.95  # the 10th neighbor of an image among the 5 % that have the nearest ones
SAMPLE = 300
HOPEFUL = 0.65
MOST_SIMILAR = 8  # of each picture: enough to connect copies, however many there are
ROWS_AT_ONCE, COLUMNS_AT_ONCE, BLOCKS_AT_ONCE, PAIRS_AT_ONCE = 512, 4096, 4, 2048


@dataclass(frozen=True)
class _Task:
    """Pairs to look at closely, by their thumbnails."""

    one: Thumbnails
    other: Thumbnails
    whitening: Whitening
    near: float


def near_duplicate_pairs(thumbnails: Thumbnails, first_new: int, workers: int) -> NDArray[np.int64]:
    """Pairs of pictures that are nearly the same.

    Each picture is looked at closely beside the one that is most similar to it, and beside all that are as similar as
    copies: whether one shows what the other does, cut by up to 10 % at each side.

    Args:
        thumbnails: uint8 (pictures, side, side), gray.
        first_new: pairs of two pictures before this one are left out.
        workers: processes; the result does not depend on it.

    Returns:
        int64 (pairs, 2): numbers of pictures, the lower one first.
    """
    if len(thumbnails) <= max(first_new, 1):
        return np.empty((0, 2), dtype=np.int64)
    whitening = whitening_of(thumbnails)
    low = low_frequencies(thumbnails, whitening)
    near = _nearness(low)
    with working_in_parallel(workers) as in_parallel:
        pairs, similarity = _similar_pairs(low, first_new, in_parallel)
        likely = pairs[(similarity >= near) | _is_best(pairs, similarity)]
        parts = [likely[start : start + PAIRS_AT_ONCE] for start in range(0, len(likely), PAIRS_AT_ONCE)]
        tasks = (_Task(thumbnails[part[:, 0]], thumbnails[part[:, 1]], whitening, near) for part in parts)
        copies = list(in_parallel(_are_copies, tasks))
    found: NDArray[np.int64] = likely[np.concatenate([*copies, np.empty(0, dtype=np.bool_)])]
    return found


def _are_copies(task: _Task) -> NDArray[np.bool_]:
    with threadpool_limits(1):
        return np.logical_or(
            _shows_part(task.one, task.other, task.whitening, task.near),
            _shows_part(task.other, task.one, task.whitening, task.near),
        )


def _shows_part(one: Thumbnails, other: Thumbnails, whitening: Whitening, near: float) -> NDArray[np.bool_]:
    """Whether each picture is nearly the same as a window of its partner: bool (pictures,)."""
    # Cut along one side at a time first: of what is far from its partner in each of these, no window comes near it.
    columns = window_similarity(one, other, whitening, rows=UNCUT, columns=CUTS)
    rows = window_similarity(one, other, whitening, rows=CUTS, columns=UNCUT)
    hopeful = np.flatnonzero(np.maximum(columns, rows) > HOPEFUL)
    found = np.zeros(len(one), dtype=np.bool_)
    best = window_similarity(one[hopeful], other[hopeful], whitening, rows=CUTS, columns=CUTS)
    found[hopeful] = best >= near
    return found


def _nearness(low: Floats) -> float:
    """The correlation from which a pair is one of copies, in a set that is as crowded as this one."""
    if len(low) <= AROUND:
        return NEAR
    sample = np.linspace(0, len(low) - 1, min(SAMPLE, len(low)), dtype=np.int64)
    similarity = np.partition(low[sample] @ low.T, -AROUND - 1, axis=1)[:, -AROUND - 1]  # the first is itself
    return float(max(NEAR, 1 - (1 - np.quantile(similarity, CROWDED)) * NEARER))


def _similar_pairs(low: Floats, first_new: int, in_parallel: InParallel) -> tuple[NDArray[np.int64], Floats]:
    """Each new picture beside the most similar ones before it, and how similar they are."""
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder:
        file = Path(folder) / "frequencies.npy"
        np.save(file, low)
        tasks = (_Rows(file, start) for start in range(first_new, len(low), ROWS_AT_ONCE * BLOCKS_AT_ONCE))
        found = list(in_parallel(_similar_rows, tasks))
    return np.concatenate([pairs for pairs, _ in found]), np.concatenate([similarity for _, similarity in found])


@dataclass(frozen=True)
class _Rows:
    """So many pictures from this one on, of those whose frequencies lie in a file."""

    file: Path
    start: int


def _similar_rows(rows: _Rows) -> tuple[NDArray[np.int64], Floats]:
    with threadpool_limits(1):  # the other processes have the other cores
        return _similar_rows_here(rows)


def _similar_rows_here(rows: _Rows) -> tuple[NDArray[np.int64], Floats]:
    low: Floats = np.load(rows.file, mmap_mode="r")
    # Written over and over: to get new memory for each block takes four times as long as what is done with it.
    similarity = np.empty((ROWS_AT_ONCE, COLUMNS_AT_ONCE), dtype=np.float32)
    similar = np.empty(similarity.shape, dtype=np.bool_)
    last = min(rows.start + ROWS_AT_ONCE * BLOCKS_AT_ONCE, len(low))
    blocks = [
        _similar_block(low, start, min(start + ROWS_AT_ONCE, last), similarity, similar)
        for start in range(rows.start, last, ROWS_AT_ONCE)
    ]
    return np.concatenate([pairs for pairs, _ in blocks]), np.concatenate([values for _, values in blocks])


def _similar_block(
    low: Floats, start: int, stop: int, similarity: Floats, similar: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Floats]:
    parts = []
    for left in range(0, stop, COLUMNS_AT_ONCE):
        shape = (stop - start, min(left + COLUMNS_AT_ONCE, stop) - left)
        found, flags = _corner(similarity, shape), _corner(similar, shape)
        np.matmul(low[start:stop], low[left : left + shape[1]].T, out=found)
        if left + shape[1] > start:  # a picture, and those after it, are not before it
            found[np.arange(left, left + shape[1]) >= np.arange(start, stop)[:, np.newaxis]] = -1
        np.greater(found, SIMILAR, out=flags)
        parts.append(_most_similar(found, flags, left))
    rows, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    kept = _best_of_each(rows, values)
    return np.column_stack([columns[kept], rows[kept] + start]), values[kept]


def _most_similar(
    similarity: Floats, similar: NDArray[np.bool_], left: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Rows, columns and values of what is similar, a few of each row where all the set is."""
    if np.count_nonzero(similar) > MOST_SIMILAR * len(similarity):
        columns = np.argpartition(similarity, -min(MOST_SIMILAR, similarity.shape[1]), axis=1)[:, -MOST_SIMILAR:]
        rows = np.repeat(np.arange(len(similarity)), columns.shape[1])
        flat = columns.ravel()
        chosen = similar[rows, flat]
        rows, flat = rows[chosen], flat[chosen]
    else:
        rows, flat = np.divmod(np.flatnonzero(similar), similarity.shape[1])
    return rows, flat + left, similarity[rows, flat]


def _best_of_each(rows: NDArray[np.int64], similarity: Floats) -> NDArray[np.int64]:
    """Places of the MOST_SIMILAR highest values of each row, in the order of rows."""
    order = np.lexsort((-similarity, rows))
    ordered = rows[order]
    first = np.searchsorted(ordered, ordered)
    return order[np.arange(len(order)) - first < MOST_SIMILAR]


def _corner(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """The first values of an array, as one of another shape."""
    return array.reshape(-1)[: shape[0] * shape[1]].reshape(shape)


def _is_best(pairs: NDArray[np.int64], similarity: Floats) -> NDArray[np.bool_]:
    """Which pairs are the most similar one of either of their pictures."""
    best = np.zeros(len(pairs), dtype=np.bool_)
    order = np.argsort(-similarity, kind="stable")
    for column in (0, 1):
        _, first = np.unique(pairs[order, column], return_index=True)
        best[order[first]] = True
    return best
