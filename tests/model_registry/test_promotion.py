from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.foundation.schemas.final_model import Judgement
from sanefit.components.model_registry.promotion import Champion, decide

ACCURACIES = st.floats(0, 1, exclude_min=True)
WORTH = Judgement(interval=(0, 1), majority_accuracy=0, balanced_accuracy=0.5, only_class_named=None)


def test_the_first_version_is_champion() -> None:
    assert decide(0.1, WORTH, None).alias == "champion"


@given(ACCURACIES, ACCURACIES)
def test_only_a_strictly_better_version_replaces_the_champion(new: float, old: float) -> None:
    promotion = decide(new, WORTH, Champion("4", old))
    assert (promotion.alias == "champion") == (new > old)
    assert "version 4" in promotion.reason


@given(ACCURACIES)
def test_a_champion_that_cannot_be_scored_stays(new: float) -> None:
    promotion = decide(new, WORTH, Champion("4", None, "it knows other classes"))
    assert promotion.alias == "challenger"
    assert "it knows other classes" in promotion.reason


@given(ACCURACIES, st.one_of(st.none(), ACCURACIES))
def test_a_model_that_names_one_class_is_never_champion(new: float, old: float | None) -> None:
    promotion = decide(
        new, WORTH.model_copy(update={"only_class_named": 3}), None if old is None else Champion("4", old)
    )
    assert promotion.alias == "challenger"
    assert "one class for every image" in promotion.reason


@given(ACCURACIES, ACCURACIES)
def test_a_model_that_is_not_better_than_the_largest_class_is_never_champion(new: float, majority: float) -> None:
    promotion = decide(new, WORTH.model_copy(update={"majority_accuracy": majority}), None)
    assert (promotion.alias == "champion") == (new > majority)
    assert ("largest class" in promotion.reason) == (new <= majority)
