"""The tests that two models are compared by, beside oracles that share nothing with them."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from sanefit.components.model_registry.alpha_spending import level_of_look
from sanefit.components.model_registry.paired_test import (
    compare_balanced,
    compare_shares,
    exact_mcnemar,
    tango_score,
)

COUNTS = st.integers(0, 60)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_tail_of_a_fair_coin(wins: int, losses: int) -> None:
    tosses = wins + losses
    tail = sum(math.comb(tosses, heads) for heads in range(wins, tosses + 1)) / 2**tosses
    assert exact_mcnemar(wins, losses) == pytest.approx(tail, rel=1e-9)


@settings(max_examples=60)
@given(COUNTS, COUNTS, st.integers(0, 200), st.floats(0.001, 0.3))
def test_tango_s_score_is_that_of_the_most_likely_shares(wins: int, losses: int, ties: int, gain: float) -> None:
    """Of all shares that differ by the gain, found by a search over the likelihood."""
    images = wins + losses + ties
    assume(images > 0)

    def unlikelihood(share: float) -> float:
        shares = (share + gain, share, 1 - 2 * share - gain)
        return -sum(
            count * math.log(max(one, 1e-300)) for count, one in zip((wins, losses, ties), shares, strict=True) if count
        )

    share = minimize_scalar(unlikelihood, bounds=(0, (1 - gain) / 2), method="bounded", options={"xatol": 1e-12}).x
    variance = images * (2 * share + gain - gain**2)
    expected = norm.sf((wins - losses - images * gain) / math.sqrt(variance))
    assert tango_score(wins, losses, images, gain) == pytest.approx(expected, abs=1e-3)


def test_a_gain_that_is_no_more_than_asked_for_passes_no_more_often_than_chance_may() -> None:
    random = np.random.default_rng(0)
    passed = 0
    for _ in range(4000):
        wins, losses, _ties = random.multinomial(1500, [0.06, 0.04, 0.9])
        passed += tango_score(int(wins), int(losses), 1500, 0.02) <= 0.05
    assert 0.035 < passed / 4000 < 0.062


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50), st.floats(0, 0.2))
def test_wins_and_losses_are_counted(answers: list[tuple[bool, bool]], min_gain: float) -> None:
    new, old = (np.array(right) for right in zip(*answers, strict=True))
    found = compare_shares("accuracy", new, old, min_gain)
    assert found.images == len(answers)
    assert found.wins == answers.count((True, False))
    assert found.losses == answers.count((False, True))
    assert found.gain == pytest.approx((found.wins - found.losses) / len(answers))
    assert found.p_value >= exact_mcnemar(found.wins, found.losses)


def test_models_that_agree_are_not_told_apart() -> None:
    same = np.array([True, False, True])
    assert compare_shares("accuracy", same, same, 0.0).p_value == 1
    assert compare_balanced(np.array([0, 1, 1]), same, same, 0.0, seed=0).p_value == 1


def test_balanced_accuracies_are_compared_as_their_standard_error_says() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [900, 90, 300])
    old = random.random(len(labels)) < 0.7
    new = np.where(random.random(len(labels)) < 0.25, random.random(len(labels)) < 0.9, old)
    found = compare_balanced(labels, new, old, 0.0, seed=0)
    difference = new.astype(float) - old
    gain = np.mean([difference[labels == label].mean() for label in range(3)])
    error = math.sqrt(sum(difference[labels == label].var() / (labels == label).sum() for label in range(3))) / 3
    assert found.gain == pytest.approx(gain)
    assert found.p_value == pytest.approx(norm.sf(gain / error), rel=0.5)
    assert found.new == pytest.approx(np.mean([new[labels == label].mean() for label in range(3)]))
    assert compare_balanced(labels, new, old, 0.0, seed=0) == found


@given(st.floats(0.51, 0.999), st.integers(1, 500))
def test_all_looks_together_spend_what_is_allowed(confidence: float, looks: int) -> None:
    levels = [level_of_look(look, confidence) for look in range(1, looks + 1)]
    assert sum(levels) < 1 - confidence
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(0.6079 * (1 - confidence), rel=1e-3)
