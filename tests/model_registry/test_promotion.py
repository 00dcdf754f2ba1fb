import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.schemas.final_model import Judgement
from sanefit.components.foundation.schemas.registry import Comparison, RegistrySettings
from sanefit.components.model_registry.alpha_spending import level_of_look
from sanefit.components.model_registry.promotion import Candidate, Champion, Promotion, decide

SHARES = st.floats(0, 1)
WORTH = Judgement(interval=(0, 1), majority_accuracy=0, balanced_accuracy=0.5, only_class_named=None)
GOOD = Candidate(0.9, WORTH)
MODES = ("if_better", "if_not_worse", "always", "never")


def champion(gain: float = 0.0, p_value: float = 0.5) -> Champion:
    found = Comparison(metric="accuracy", new=0.5 + gain, old=0.5, images=100, wins=9, losses=4, p_value=p_value)
    return Champion("4", found)


def decided(beside: Champion | None, candidate: Candidate = GOOD, look: int = 1, **settings: object) -> Promotion:
    return decide(candidate, beside, RegistrySettings.model_validate(settings), look)


@pytest.mark.parametrize("mode", MODES)
def test_the_first_version_is_champion_unless_none_is_to_be(mode: str) -> None:
    assert decided(None, promotion=mode).promoted == (mode != "never")


@given(SHARES, st.integers(1, 1000), st.floats(0.51, 0.999))
def test_a_better_version_takes_over_when_the_test_is_sure_enough(p_value: float, look: int, confidence: float) -> None:
    found = decided(champion(0.1, p_value), look=look, confidence=confidence)
    assert found.promoted == (p_value <= level_of_look(look, confidence))
    assert "version 4" in found.reason
    assert f"look {look}" in found.reason


@given(st.floats(-0.5, 0.5), st.floats(0, 0.5, exclude_max=True))
def test_as_good_as_measured_is_enough_when_that_is_asked_for(gain: float, least: float) -> None:
    beside = champion(gain, 1.0)
    assert beside.comparison is not None
    found = decided(beside, promotion="if_not_worse", min_gain=least)
    assert found.promoted == (beside.comparison.gain >= least)


def test_always_asks_no_test() -> None:
    assert decided(champion(-0.2, 1.0), promotion="always").promoted
    assert decided(Champion("4", None, "it is gone"), promotion="always").promoted


@pytest.mark.parametrize("mode", ["if_better", "if_not_worse", "never"])
def test_a_champion_that_cannot_be_compared_stays(mode: str) -> None:
    found = decided(Champion("4", None, "it knows other classes"), promotion=mode)
    assert not found.promoted
    assert ("it knows other classes" in found.reason) == (mode != "never")


@given(st.sampled_from(MODES), st.booleans())
def test_a_model_that_names_one_class_is_never_champion(mode: str, first: bool) -> None:
    candidate = Candidate(0.9, WORTH.model_copy(update={"only_class_named": 3}))
    found = decided(None if first else champion(0.4, 0.0), candidate, promotion=mode)
    assert not found.promoted
    assert "one class for every image" in found.reason


@given(st.sampled_from(MODES), SHARES, SHARES)
def test_a_model_that_is_not_better_than_the_largest_class_is_never_champion(
    mode: str, accuracy: float, majority: float
) -> None:
    candidate = Candidate(accuracy, WORTH.model_copy(update={"majority_accuracy": majority}))
    found = decided(None, candidate, promotion=mode)
    assert found.promoted == (accuracy > majority and mode != "never")
    assert ("largest class" in found.reason) == (accuracy <= majority)


def test_a_condition_that_is_not_met_leaves_a_challenger_with_the_numbers() -> None:
    candidate = Candidate(0.9, WORTH, ["recall.cat 0.8000, expected at least 0.9"])
    for beside in (None, champion(0.4, 0.0)):
        found = decided(beside, candidate, promotion="always")
        assert found == Promotion(False, "registry.require: recall.cat 0.8000, expected at least 0.9")


def test_the_reason_says_what_was_compared() -> None:
    assert decided(champion(0.05, 0.0004), min_gain=0.01).reason == (
        "better by 0.01: test accuracy 0.5500 against 0.5000 of version 4 on the same 100 images, 9 right that it has "
        "wrong, 4 the other way round; p 4.0e-04, expected at most 0.0304 at look 1 on this test split"
    )
    assert decided(champion(0.05, 0.2)).reason.startswith("not surely better: ")
    assert decided(champion(-0.05, 0.9)).reason.startswith("not better: ")
