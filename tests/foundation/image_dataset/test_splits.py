from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from math import sqrt

from hypothesis import example, given
from hypothesis import strategies as st

from sanefit.components.foundation.image_dataset.splits import content_digest, split_of

digests = st.binary(min_size=32, max_size=32)
fractions = st.floats(min_value=0.001, max_value=0.499)


def position(digest: bytes) -> Fraction:
    return Fraction(sum(byte * 256 ** (7 - place) for place, byte in enumerate(digest[:8])), 2**64)


def test_a_digest_is_the_sha256_of_the_content() -> None:
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert content_digest(b"abc") == bytes.fromhex(expected)


@given(digests, fractions, fractions)
def test_the_first_64_bits_of_the_digest_decide(digest: bytes, validation: float, test: float) -> None:
    where = position(digest)
    expected = "test" if where < test else "validation" if where < test + validation else "train"
    assert split_of(digest, validation, test) == expected


@given(digests, st.binary(min_size=24, max_size=24), fractions, fractions)
def test_the_rest_of_the_digest_does_not_matter(digest: bytes, rest: bytes, validation: float, test: float) -> None:
    assert split_of(digest[:8] + rest, validation, test) == split_of(digest, validation, test)


def test_a_bound_belongs_to_the_split_above_it() -> None:
    below_quarter, quarter, half = (start + bytes(29) for start in (b"\x3f\xff\xff", b"\x40\0\0", b"\x80\0\0"))
    assert split_of(below_quarter, 0.25, 0.25) == "test"
    assert split_of(quarter, 0.25, 0.25) == "validation"
    assert split_of(half, 0.25, 0.25) == "train"


def test_the_ends_of_the_range_are_test_and_train() -> None:
    assert split_of(bytes(32), 0.15, 0.15) == "test"
    assert split_of(b"\xff" * 32, 0.499, 0.499) == "train"


@given(digests, fractions, fractions, fractions)
@example(b"\x26" + bytes(31), 0.1, 0.4, 0.15)
def test_test_images_stay_test_whatever_the_validation_fraction(
    digest: bytes, validation: float, other_validation: float, test: float
) -> None:
    before, after = split_of(digest, validation, test), split_of(digest, other_validation, test)
    assert (before == "test") == (after == "test")


@given(digests, st.lists(fractions, min_size=2, max_size=5), fractions)
def test_a_larger_validation_fraction_only_adds_validation_images(
    digest: bytes, validations: list[float], test: float
) -> None:
    splits = [split_of(digest, validation, test) for validation in sorted(validations)]
    assert all(after == "validation" for before, after in pairwise(splits) if before == "validation")


@given(digests, fractions, fractions, fractions)
def test_a_larger_test_fraction_keeps_every_test_image(digest: bytes, validation: float, a: float, b: float) -> None:
    if split_of(digest, validation, min(a, b)) == "test":
        assert split_of(digest, validation, max(a, b)) == "test"


def test_the_shares_are_the_fractions() -> None:
    images, validation, test = 20_000, 0.2, 0.1
    splits = [split_of(sha256(str(number).encode()).digest(), validation, test) for number in range(images)]
    for split, share in (("test", test), ("validation", validation), ("train", 1 - test - validation)):
        assert abs(splits.count(split) / images - share) < 4 * sqrt(share * (1 - share) / images)
