"""Of the similar pairs of the whole matrix, cells lose those that have none in common, and no others."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from similar_vectors import Floats, by_pairs, vectors

from sanefit.components.dataset_snapshot import similar_pairs_in_cells as module
from sanefit.components.dataset_snapshot.similar_pairs import MOST_SIMILAR, SIMILAR

FIRST_NEW = 40


def found_in(low: Floats, first_new: int, **limits: int) -> dict[tuple[int, int], float]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name, value in limits.items():
            patch.setattr(module, name, value)
        file = Path(folder) / "frequencies.npy"
        np.save(file, low)
        pairs, similarity = module.similar_pairs_in_cells(file, first_new, map)
    assert np.all(np.diff(pairs[:, 1]) >= 0)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    return dict(zip(map(tuple, pairs.tolist()), similarity.tolist(), strict=True))


sizes_of_blocks = st.fixed_dictionaries(
    {
        "PICTURES_AT_ONCE": st.integers(1, 40),
        "CELLS_AT_ONCE": st.integers(1, 5),
        "LOOKED_THROUGH_AT_ONCE": st.integers(1, 40),
        "ROWS_AT_ONCE": st.integers(1, 40),
        "COLUMNS_AT_ONCE": st.integers(1, 40),
        "MOST_WAITING": st.integers(1, 400),
    }
)


@given(
    pictures=st.integers(2, 90),
    planted=st.integers(0, 60),
    first_new=st.integers(0, 89),
    limits=sizes_of_blocks,
    seed=st.integers(0, 1000),
)
def test_where_every_cell_is_looked_in_they_are_those_of_the_whole_matrix(
    pictures: int, planted: int, first_new: int, limits: dict[str, Any], seed: int
) -> None:
    low, first_new = vectors(pictures, planted, seed), min(first_new, pictures - 1)
    expected = by_pairs(low, first_new, MOST_SIMILAR, SIMILAR)
    found = found_in(low, first_new, LOOKED_IN=pictures, **limits)
    assert found == pytest.approx(expected, abs=1e-6)


def test_those_that_are_lost_have_no_cell_in_common() -> None:
    low = vectors(400, 200, seed=1)
    expected = by_pairs(low, FIRST_NEW, len(low), SIMILAR)
    found = found_in(low, FIRST_NEW, LOOKED_IN=2)
    assert found == pytest.approx({pair: expected[pair] for pair in found}, abs=1e-6)
    centers = module._centers(low, 16, np.random.default_rng(0))
    assert len(low) // 16 > 16
    nearest = np.argsort(-(low @ centers.T), axis=1, kind="stable")
    common = {
        (one, other): nearest[one, 0] in nearest[other, :2] or nearest[other, 0] in nearest[one, :2]
        for one, other in expected
    }
    of_picture: dict[int, list[tuple[float, int]]] = {}
    for (one, other), similarity in expected.items():
        if common[one, other]:
            of_picture.setdefault(other, []).append((-similarity, one))
    kept = {(one, other) for other, some in of_picture.items() for _, one in sorted(some)[:MOST_SIMILAR]}
    assert found.keys() == kept
    assert 0.5 < len(kept) / len(by_pairs(low, FIRST_NEW, MOST_SIMILAR, SIMILAR)) < 1


def test_pictures_that_are_all_alike_have_a_few_each() -> None:
    random = np.random.default_rng(0)
    low = (np.ones(6) + random.normal(0, 0.01, (300, 6))).astype(np.float32)
    low /= np.linalg.norm(low, axis=1, keepdims=True)
    found = found_in(low, 0, LOOKED_IN=3)
    per_picture = np.bincount([other for _, other in found], minlength=len(low))
    assert per_picture.max() == MOST_SIMILAR
    assert all(similarity > SIMILAR for similarity in found.values())


def test_pictures_without_contrast_are_like_none() -> None:
    low = vectors(60, 0, seed=2)
    low[::2] = 0
    assert not any(one % 2 == 0 or other % 2 == 0 for one, other in found_in(low, 0))
