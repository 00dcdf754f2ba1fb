import itertools
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sanefit.components.foundation.schemas.search import TrialSetting, TrialSpec
from sanefit.components.hyperparameter_search.plan.dealing import apportion, deal, deal_by_key

SETTING = TrialSetting(learning_rate=0.1, weight_decay=0)


def specs(keys: list[int]) -> list[TrialSpec]:
    """Trials whose key is their batch size."""
    return [
        TrialSpec(number=n, setting=SETTING.model_copy(update={"batch_size": key}), epochs=1, seed=n)
        for n, key in enumerate(keys)
    ]


def key_of(trial: TrialSpec) -> int | None:
    return trial.setting.batch_size


@given(trials=st.integers(1, 200), packs=st.integers(1, 30))
def test_each_trial_is_dealt_once_and_packs_differ_by_at_most_one(trials: int, packs: int) -> None:
    given_trials = specs([0] * trials)
    dealt = deal(given_trials, packs)
    assert dealt == deal_by_key(given_trials, packs, key_of)
    assert sorted((trial for pack in dealt for trial in pack), key=lambda trial: trial.number) == given_trials
    sizes = [len(pack) for pack in dealt]
    assert len(dealt) == min(trials, packs)
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(1, 20))
def test_each_trial_is_dealt_once_into_as_many_packs_as_are_asked_for(keys: list[int], packs: int) -> None:
    given_trials = specs(keys)
    dealt = deal_by_key(given_trials, packs, key_of)
    assert dealt == deal_by_key(given_trials, packs, key_of)
    assert sorted(trial.number for pack in dealt for trial in pack) == list(range(len(keys)))
    assert len(dealt) == min(packs, len(keys))
    assert all(dealt)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(7, 20))
def test_a_pack_holds_one_key_and_a_key_has_packs_by_its_share(keys: list[int], packs: int) -> None:
    kinds = Counter(keys)
    dealt = deal_by_key(specs(keys), packs, key_of)
    sizes: dict[int | None, list[int]] = {}
    for pack in dealt:
        [key] = {key_of(trial) for trial in pack}
        sizes.setdefault(key, []).append(len(pack))
    for key, count in kinds.items():
        assert max(sizes[key]) - min(sizes[key]) <= 1
        if min(len(dealt) * other / len(keys) for other in kinds.values()) >= 1:  # then no key is lifted to one pack
            assert abs(len(sizes[key]) - len(dealt) * count / len(keys)) < 1


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 3))
def test_keys_without_a_pack_of_their_own_are_not_torn_apart_and_packs_stay_even(keys: list[int], packs: int) -> None:
    kinds = Counter(keys)
    assume(len(kinds) > packs)
    dealt = deal_by_key(specs(keys), packs, key_of)
    for key, count in kinds.items():
        assert [n for pack in dealt if (n := sum(key_of(trial) == key for trial in pack))] == [count]
    # Graham 1969: at most 4/3 of the best, which is at least the mean and at least the largest key.
    assert max(map(len, dealt)) <= 4 / 3 * max(max(kinds.values()), optimum(list(kinds.values()), packs))


def optimum(sizes: list[int], packs: int) -> int:
    """The least that the fullest of so many packs can hold."""
    return min(
        max(sum(size for size, at in zip(sizes, places, strict=True) if at == pack) for pack in range(packs))
        for places in itertools.product(range(packs), repeat=len(sizes))
    )


@pytest.mark.parametrize(
    ("sizes", "seats", "shares"),
    [
        ([10], 4, [4]),
        ([50, 30, 20], 10, [5, 3, 2]),
        ([47, 16, 15, 12, 6, 4], 10, [5, 1, 1, 1, 1, 1]),  # 4.7, 1.6, 1.5, 1.2, 0.6, 0.4
        ([97, 1, 1, 1], 4, [1, 1, 1, 1]),
        ([97, 1, 1, 1], 6, [3, 1, 1, 1]),
        ([5, 5], 3, [2, 1]),
        ([50, 40, 1, 1, 1], 7, [2, 2, 1, 1, 1]),  # 3.8, 3.0 and three times 0.1: the small ones take from the large
    ],
)
def test_shares_are_by_the_largest_remainder_at_least_one(sizes: list[int], seats: int, shares: list[int]) -> None:
    assert apportion(sizes, seats) == shares


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_shares_sum_to_the_seats_and_none_is_empty_or_more_than_its_group(
    sizes: list[int], data: st.DataObject
) -> None:
    seats = data.draw(st.integers(len(sizes), sum(sizes)))
    shares = apportion(sizes, seats)
    assert sum(shares) == seats
    assert all(1 <= share <= size for share, size in zip(shares, sizes, strict=True))
