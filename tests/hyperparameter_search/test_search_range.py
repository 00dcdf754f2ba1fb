import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.foundation.errors import RunFailedError
from components.foundation.training_artifacts import SearchRange, TrialResult, TrialSetting, TrialSpec
from components.foundation.training_settings import CoarseSettings
from components.hyperparameter_search.search_range import coarse_range, fine_range, narrow

SLACK = 1e-9  # decades; rounding of logarithms
RANGE = SearchRange(learning_rate=(1e-4, 1e0), weight_decay=(1e-6, 1e-2), reasons=[])


def result(
    number: int,
    accuracy: float,
    status: str = "ok",
    learning_rate: float = 1e-2,
    weight_decay: float = 1e-4,
) -> TrialResult:
    spec = TrialSpec(
        number=number,
        setting=TrialSetting(learning_rate=learning_rate, weight_decay=weight_decay),
        epochs=1,
        seed=number,
    )
    return TrialResult.model_validate(
        {"spec": spec, "status": status, "validation_accuracy": accuracy, "epochs": [], "seconds": 1.0}
    )


def decades(bounds: tuple[float, float]) -> tuple[float, float]:
    return math.log10(bounds[0]), math.log10(bounds[1])


def expected(exponents: list[float], low: float, high: float) -> tuple[float, float]:
    """The narrowed range in decades; the best trial's value comes first."""
    tenth, quarter = (high - low) / 10, (high - low) / 4
    new_low = low - quarter if exponents[0] <= low + tenth else min(exponents)
    new_high = high + quarter if exponents[0] >= high - tenth else max(exponents)
    middle, half = (new_low + new_high) / 2, max(new_high - new_low, 0.5) / 2
    return middle - half, middle + half


@st.composite
def searched_and_top(draw: st.DrawFn) -> tuple[float, float, list[float]]:
    """A range in decades (low, width) and the best trials' places in it, shares of the width."""
    low, width = draw(st.floats(-8, 4)), draw(st.floats(0.05, 10))
    places = draw(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    assume(all(abs(places[0] - edge) > 1e-6 for edge in (0.1, 0.9)))
    return low, width, places


@given(searched_and_top())
def test_the_narrowed_range_spans_the_top_and_leaves_the_old_one_only_at_an_edge(
    case: tuple[float, float, list[float]],
) -> None:
    low, width, places = case
    exponents = [low + place * width for place in places]
    bounds = (10**low, 10 ** (low + width))
    new, reason = narrow([10**exponent for exponent in exponents], bounds)
    new_low, new_high = decades(new)
    assert new_high - new_low >= 0.5 - SLACK
    assert all(new_low - SLACK <= exponent <= new_high + SLACK for exponent in exponents)
    at_low, at_high = places[0] < 0.1, places[0] > 0.9
    assert (new_low, new_high) == pytest.approx(expected(exponents, low, low + width), abs=SLACK)
    if max(exponents) - min(exponents) >= 0.5:
        assert at_low or new_low >= low - SLACK
        assert at_high or new_high <= low + width + SLACK
    assert ("widened below" in reason, "widened above" in reason) == (at_low, at_high)
    assert f"the best {len(places)} coarse trials" in reason


@pytest.mark.parametrize(
    ("top", "bounds", "narrowed"),
    [
        ([1e-3, 1e-2, 1e-4], (1e-6, 1e0), (1e-4, 1e-2)),
        ([1e-3, 1e-6, 1e0], (1e-6, 1e0), (1e-6, 1e0)),
        ([1e-6, 1e-3], (1e-6, 1e-2), (1e-7, 1e-3)),
        ([1e-2, 1e-3], (1e-6, 1e-2), (1e-3, 1e-1)),
        ([10**-1.7, 1e-4], (1e-6, 1e0), (1e-4, 10**-1.7)),
        ([1e-3], (1e-6, 1e0), (10**-3.25, 10**-2.75)),
    ],
)
def test_narrowing_gives_these_ranges(
    top: list[float], bounds: tuple[float, float], narrowed: tuple[float, float]
) -> None:
    assert narrow(top, bounds)[0] == pytest.approx(narrowed)


def test_the_reason_gives_the_new_range_and_why_it_grew() -> None:
    assert narrow([1e-6, 1e-3], (1e-6, 1e-2))[1] == (
        "1.0e-07 to 1.0e-03 spans the best 2 coarse trials, widened below 1.0e-06, where the best lay at the edge"
    )
    assert narrow([1e-3], (1e-6, 1e0))[1].endswith("coarse trials, widened to half a decade")


def test_the_users_learning_rates_win_over_the_probes() -> None:
    searched = coarse_range(CoarseSettings(learning_rate=(1e-6, 1e-3), weight_decay=(1e-5, 1e5)), band=(0.01, 0.1))
    assert (searched.learning_rate, searched.weight_decay) == ((1e-6, 1e-3), (1e-5, 1e5))
    assert searched.reasons == [
        "learning rate 1.0e-06 to 1.0e-03 from search.coarse.learning_rate",
        "weight decay 1.0e-05 to 1.0e+05 from search.coarse.weight_decay",
    ]


def test_the_probes_band_is_searched_when_the_user_gave_none() -> None:
    searched = coarse_range(CoarseSettings(), band=(0.01, 0.1))
    assert searched.learning_rate == (0.01, 0.1)
    assert searched.weight_decay == CoarseSettings().weight_decay
    assert "the learning-rate probe" in searched.reasons[0]


def test_neither_a_range_nor_a_band_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(RunFailedError, match=r"search\.coarse\.learning_rate") as caught:
        coarse_range(CoarseSettings(), band=None)
    assert len(str(caught.value).splitlines()) == 1


@given(st.permutations(range(30)), st.integers(1, 30))
def test_the_fine_range_spans_the_best_fifth_but_at_least_three(order: list[int], count: int) -> None:
    rate_of, decay_of = (lambda n: 10 ** (-3.05 + n / 10)), (lambda n: 10 ** (-2.5 - n / 10))
    results = [
        result(number, 0.9 - place / 100, learning_rate=rate_of(number), weight_decay=decay_of(number))
        for place, number in enumerate(order[:count])
    ]
    best = order[: min(count, max(3, math.ceil(count / 5)))]
    fine = fine_range(RANGE, sorted(results, key=lambda r: r.spec.number))
    rates, decays = [-3.05 + number / 10 for number in best], [-2.5 - number / 10 for number in best]
    assert decades(fine.learning_rate) == pytest.approx(expected(rates, -4, 0), abs=SLACK)
    assert decades(fine.weight_decay) == pytest.approx(expected(decays, -6, -2), abs=SLACK)
    for name, reason in zip(("learning rate", "weight decay"), fine.reasons, strict=True):
        assert reason.startswith(name)
        assert f"the best {len(best)} coarse trials" in reason


def test_trials_that_did_not_end_well_do_not_count() -> None:
    good = [result(n, 0.5 + n / 100, learning_rate=10 ** (-2 - n / 4)) for n in range(3)]
    bad = [
        result(3 + n, 0.99, status, learning_rate=1e-4)
        for n, status in enumerate(("diverged", "out_of_memory", "error"))
    ]
    fine = fine_range(RANGE, [*bad, *good])
    assert fine.learning_rate == pytest.approx((10**-2.5, 10**-2))


@pytest.mark.parametrize("statuses", [["diverged"], ["diverged", "error", "out_of_memory"]])
def test_no_finished_trial_is_an_error_that_says_how_many_there_were(statuses: list[str]) -> None:
    results = [result(n, 0.5, status) for n, status in enumerate(statuses)]
    with pytest.raises(RunFailedError, match=f"none of the {len(statuses)} coarse trials") as caught:
        fine_range(RANGE, results)
    assert "lower search.coarse.learning_rate" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
