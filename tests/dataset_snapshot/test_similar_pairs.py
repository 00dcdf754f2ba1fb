"""The similar pairs that blocks of products find are those of the whole matrix, looked at pair by pair."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from similar_vectors import by_pairs, vectors

from sanefit.components.dataset_snapshot import similar_pairs as module


@given(
    pictures=st.integers(2, 90),
    planted=st.integers(0, 60),
    first_new=st.integers(0, 89),
    most=st.sampled_from([1, 2, 8, 40]),
    least=st.sampled_from([0.2, 0.65, 0.9]),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 40), st.sampled_from([1, 3, 8, 16]), st.integers(1, 3)),
    seed=st.integers(0, 1000),
)
def test_similar_pairs_are_those_of_the_whole_matrix(
    pictures: int, planted: int, first_new: int, most: int, least: float, sizes: tuple[int, ...], seed: int
) -> None:
    low = vectors(pictures, planted, seed)
    first_new = min(first_new, pictures - 1)
    with pytest.MonkeyPatch.context() as patch:
        names = ("ROWS_AT_ONCE", "COLUMNS_AT_ONCE", "CACHED_COLUMNS", "BLOCKS_AT_ONCE")
        for name, value in zip(names, sizes, strict=True):
            patch.setattr(module, name, value)
        patch.setattr(module, "SIMILAR", least)
        patch.setattr(module, "MOST_SIMILAR", most)
        module._memory.cache_clear()
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, low)
            file.flush()
            pairs, similarity = module.similar_pairs(Path(file.name), first_new, map)
    module._memory.cache_clear()
    expected = by_pairs(low, first_new, most, least)
    assert set(map(tuple, pairs.tolist())) == expected.keys()
    np.testing.assert_allclose(similarity, [expected[one, other] for one, other in pairs.tolist()], atol=1e-6)
    assert np.all(np.diff(pairs[:, 1]) >= 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), unique=True, max_size=20))
def test_the_best_pairs_are_those_that_no_other_pair_of_their_picture_excels(
    chosen: list[tuple[int, int]],
) -> None:
    pairs = np.array([(min(pair), max(pair) + 6) for pair in chosen], dtype=np.int32).reshape(-1, 2)
    similarity = np.random.default_rng(len(chosen)).permutation(len(pairs)).astype(np.float32)
    best = module.is_best(pairs, similarity)
    for number, pair in enumerate(pairs):
        of_either = [similarity[pairs[:, column] == pair[column]].max() for column in (0, 1)]
        assert best[number] == (similarity[number] in of_either)


def test_what_is_set_is_found_wherever_it_is() -> None:
    random = np.random.default_rng(0)
    for columns in (1, 7, 8, 16, 40):
        for share in (0, 0.01, 0.5, 1):
            flags = random.random((9, columns)) < share
            rows, places = module.places_of(flags)
            np.testing.assert_array_equal(np.column_stack([rows, places]), np.argwhere(flags))
