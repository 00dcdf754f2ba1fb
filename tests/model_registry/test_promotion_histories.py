"""What the rule promises, over whole histories of retrainings."""

import pytest
from promotion_histories import share_promoted, share_with_a_change

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("images", [320, 2000])
def test_equal_models_change_the_champion_in_few_histories_and_it_claims_what_is_true(images: int) -> None:
    changed, error = share_with_a_change(images, trainings=200, repeats=100, seed=1)
    assert changed <= 0.05
    assert abs(error) < 0.004  # the mean of 100; of 500 it is within .002


def test_a_challenger_that_is_three_points_better_takes_over_at_its_first_look() -> None:
    assert share_promoted(2000, points=3, repeats=300, seed=0) >= 0.9
