"""Pictures that are nearly the same: encoded anew, scaled, cropped a little, brighter."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sanefit.components.dataset_snapshot.picture_frequencies import (
    CUTS,
    UNCUT,
    Floats,
    ManyThumbnails,
    Thumbnails,
    Whitening,
    low_frequencies,
    whitening_of,
    window_similarity,
)
from sanefit.components.dataset_snapshot.similar_pairs import is_best, similar_pairs
from sanefit.components.dataset_snapshot.similar_pairs_in_cells import similar_pairs_in_cells
from sanefit.components.foundation.machine.parallel_work import working_in_parallel

NEAR = 0.94  # correlation of copies, over a window of one of them
# Nor is anything a copy that is not this much nearer than what lies around, as squared distances.
NEARER = 1 / 6
AROUND, CROWDED = 10, 0.95  # the 10th neighbor of an image among the 5 % that have the nearest ones
SAMPLE = 300
HOPEFUL = 0.65
MOST_PAIRS = 5 * 10**9  # that are all compared: those of 100,000 pictures
PAIRS_AT_ONCE, COMPARED_AT_ONCE = 2048, 4096


@dataclass(frozen=True)
class _Task:
    """Pairs to look at closely, by their thumbnails."""

    one: Thumbnails
    other: Thumbnails
    whitening: Whitening
    near: float


def near_duplicate_pairs(thumbnails: ManyThumbnails, first_new: int, workers: int) -> NDArray[np.int64]:
    """Pairs of pictures that are nearly the same.

    Each picture is looked at closely beside the one that is most similar to it, and beside all that are as similar as
    copies: whether one shows what the other does, cut by up to 10 % at each side. Where more than 100,000 pictures come
    at once, those are looked for within cells.

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
    with tempfile.TemporaryDirectory(prefix="sanefit-") as folder, working_in_parallel(workers) as in_parallel:
        file = Path(folder) / "frequencies.npy"
        near = _nearness(_write_frequencies(file, thumbnails, whitening))
        new = len(thumbnails) - first_new
        find = similar_pairs if new * (first_new + new // 2) <= MOST_PAIRS else similar_pairs_in_cells
        pairs, similarity = find(file, first_new, in_parallel)
        likely = pairs[(similarity >= near) | is_best(pairs, similarity)].astype(np.int64)
        parts = [likely[start : start + PAIRS_AT_ONCE] for start in range(0, len(likely), PAIRS_AT_ONCE)]
        tasks = (_Task(thumbnails[part[:, 0]], thumbnails[part[:, 1]], whitening, near) for part in parts)
        copies = list(in_parallel(_are_copies, tasks))
    found: NDArray[np.int64] = likely[np.concatenate([*copies, np.empty(0, dtype=np.bool_)])]
    return found


def _write_frequencies(file: Path, thumbnails: ManyThumbnails, whitening: Whitening) -> Floats:
    """All pictures' low frequencies, in a file that all processes look into: float32 (pictures, frequencies)."""
    shape = (len(thumbnails), low_frequencies(thumbnails[:1], whitening).shape[1])
    low: Floats = np.lib.format.open_memmap(file, "w+", np.float32, shape)
    for start in range(0, len(low), COMPARED_AT_ONCE):
        low[start : start + COMPARED_AT_ONCE] = low_frequencies(thumbnails[start : start + COMPARED_AT_ONCE], whitening)
    return low


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
    sample = low[np.linspace(0, len(low) - 1, min(SAMPLE, len(low)), dtype=np.int64)]
    highest = np.empty((len(sample), 0), dtype=np.float32)
    for start in range(0, len(low), COMPARED_AT_ONCE):
        seen = np.concatenate([highest, sample @ low[start : start + COMPARED_AT_ONCE].T], axis=1)
        highest = np.partition(seen, -min(AROUND + 1, seen.shape[1]), axis=1)[:, -AROUND - 1 :]
    similarity = highest.min(axis=1)  # of the 11 highest, for the first is itself
    return float(max(NEAR, 1 - (1 - np.quantile(similarity, CROWDED)) * NEARER))
