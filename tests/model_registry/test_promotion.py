from hypothesis import given
from hypothesis import strategies as st

from sanefit.components.model_registry.promotion import Champion, decide

ACCURACIES = st.floats(0, 1)


def test_the_first_version_is_champion() -> None:
    assert decide(0.1, None).alias == "champion"


@given(ACCURACIES, ACCURACIES)
def test_only_a_strictly_better_version_replaces_the_champion(new: float, old: float) -> None:
    promotion = decide(new, Champion("4", old))
    assert (promotion.alias == "champion") == (new > old)
    assert "version 4" in promotion.reason


@given(ACCURACIES)
def test_a_champion_that_cannot_be_scored_stays(new: float) -> None:
    promotion = decide(new, Champion("4", None, "it knows other classes"))
    assert promotion.alias == "challenger"
    assert "it knows other classes" in promotion.reason
