"""Sorted columns say what a dictionary would."""

import hashlib

import numpy as np
import pytest
from columns_by_hand import most_held_out
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.dataset_snapshot.digest_table import (
    DigestTable,
    are_among,
    as_bytes,
    as_rows,
    digests_in,
    digests_of,
)
from sanefit.components.dataset_snapshot.split_codes import (
    DigestSplits,
    code_of,
    codes_by_content,
    codes_of,
    split_named,
)
from sanefit.components.foundation.image_dataset.splits import digest_array, split_of
from sanefit.components.foundation.schemas.images import SPLITS, SplitName

few = st.sampled_from([bytes([number]) * 31 + end for number in range(5) for end in (b"\0", b"\1")] + [bytes(32)])
parts = st.lists(st.lists(st.tuples(few, st.integers(-9, 9)), max_size=6), max_size=8)


@given(parts, st.booleans(), st.lists(few, max_size=12))
def test_a_table_is_a_dictionary(drawn: list[list[tuple[bytes, int]]], first: bool, asked: list[bytes]) -> None:
    table, expected = DigestTable(np.int64, first=first), dict[bytes, int]()
    for part in drawn:
        table.add(digests_in(digest for digest, _ in part), np.array([value for _, value in part], dtype=np.int64))
        for digest, value in part:
            if not (first and digest in expected):
                expected[digest] = value
        known, values = table.find(digests_in(asked))
        assert known.tolist() == [digest in expected for digest in asked]
        assert values.tolist() == [expected.get(digest, 0) for digest in asked]
    digests, values = table.items()
    assert list(zip(map(as_bytes, digests), values.tolist(), strict=True)) == sorted(expected.items())


@given(st.lists(few, max_size=9), st.lists(few, max_size=9))
def test_which_digests_are_among_others(asked: list[bytes], others: list[bytes]) -> None:
    found = are_among(digests_in(asked), digests_in(sorted(others)))
    assert found.tolist() == [digest in others for digest in asked]


@given(st.lists(few, max_size=9))
def test_digests_come_back_with_the_zeros_at_their_end(digests: list[bytes]) -> None:
    rows = digest_array(digests)
    np.testing.assert_array_equal(as_rows(digests_of(rows)), rows)
    assert list(map(as_bytes, digests_of(rows))) == digests


@given(st.lists(st.dictionaries(few, st.sampled_from(SPLITS), max_size=5), max_size=5))
def test_each_digest_stays_where_it_is_held_out_most(drawn: list[dict[bytes, SplitName]]) -> None:
    splits, expected = DigestSplits(), dict[bytes, SplitName]()
    for part in drawn:
        splits.hold_out(digests_in(part), codes_of(part.values()))
        expected |= {digest: most_held_out([split, expected.get(digest, split)]) for digest, split in part.items()}
        assert splits == expected
    assert splits.without("test") == {digest: split for digest, split in expected.items() if split != "test"}


@pytest.mark.parametrize(("validation", "test"), [(0.15, 0.15), (0.1, 0.2), (0.3, 0.0), (0.5, 0.25)])
def test_many_images_go_where_each_would(validation: float, test: float) -> None:
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(500)]
    edges = [round(share * 2**64) + step for share in (test, test + validation) for step in (-4096, -1, 0, 1, 4096)]
    digests += [edge.to_bytes(8, "big") + bytes(24) for edge in edges if 0 <= edge < 2**64]
    codes = codes_by_content(digests_in(digests), validation, test)
    assert [split_named(code) for code in codes.tolist()] == [split_of(one, validation, test) for one in digests]
    assert [code_of(split) for split in (*SPLITS, None)] == [2, 1, 0, 3]
