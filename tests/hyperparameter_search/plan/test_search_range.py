import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_results import made_up_result

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.search import CoarseSettings, SearchRange
from sanefit.components.hyperparameter_search.plan.search_range import coarse_range, fine_range

SLACK = 1e-9  # decades; rounding of logarithms
RANGE = SearchRange(learning_rate=(1e-4, 1e0), weight_decay=(1e-6, 1e-2), reasons=[])
WIDER = CoarseSettings(
    learning_rate=(1e-3, 1e-1),
    momentum=(0.5, 0.99),
    dropout=(0.0, 0.6),
    batch_size=(32, 128, 64),
    optimizer=("sgd", "adamw"),
    init=("he", "gaussian:1e-2"),
    width=(16,),
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


def test_the_users_learning_rates_win_over_the_probes() -> None:
    searched = coarse_range(CoarseSettings(learning_rate=(1e-6, 1e-3), weight_decay=(1e-5, 1e5)), band=(0.01, 0.1))
    assert (searched.learning_rate, searched.weight_decay) == ((1e-6, 1e-3), (1e-5, 1e5))
    assert (searched.ranges, searched.choices) == ({}, {})
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


def test_every_further_range_and_choice_is_searched_and_said() -> None:
    searched = coarse_range(WIDER, band=None)
    assert searched.ranges == {"momentum": (0.5, 0.99), "dropout": (0.0, 0.6)}
    assert searched.choices == {
        "batch_size": [32, 128, 64],
        "optimizer": ["sgd", "adamw"],
        "init": ["he", "gaussian:1e-2"],
        "width": [16],
    }
    assert searched.reasons[2:] == [
        "momentum 0.5 to 0.99 from search.coarse.momentum",
        "dropout 0 to 0.6 from search.coarse.dropout",
        "batch size 32, 128, 64 from search.coarse.batch_size",
        "optimizer sgd, adamw from search.coarse.optimizer",
        "init he, gaussian:1e-2 from search.coarse.init",
        "width 16 from search.coarse.width",
    ]


@given(st.permutations(range(30)), st.integers(1, 30))
def test_the_fine_range_spans_the_best_fifth_but_at_least_three(order: list[int], count: int) -> None:
    rate_of, decay_of = (lambda n: 10 ** (-3.05 + n / 10)), (lambda n: 10 ** (-2.5 - n / 10))
    results = [
        made_up_result(number, 0.9 - place / 100, learning_rate=rate_of(number), weight_decay=decay_of(number))
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


def test_the_further_ranges_narrow_to_the_best_trials_and_their_choices() -> None:
    searched = coarse_range(WIDER, band=None)
    good = {"learning_rate": 1e-2, "dropout": 0.3, "init": "he", "width": 16}
    best = [
        made_up_result(0, 0.93, momentum=0.8, batch_size=64, optimizer="sgd", **good),
        made_up_result(1, 0.92, momentum=0.9, batch_size=32, optimizer="sgd", **good),
        made_up_result(2, 0.91, momentum=0.7, batch_size=64, optimizer="sgd", **good),
    ]
    worse = [
        made_up_result(n, 0.5, momentum=0.5, batch_size=128, optimizer="adamw", **good | {"dropout": 0.0})
        for n in range(3, 10)
    ]
    fine = fine_range(searched, [*worse, *best])
    assert fine.ranges["momentum"] == pytest.approx((0.7, 0.9))
    assert fine.ranges["dropout"] == pytest.approx((0.27, 0.33))  # a tenth of 0.6, around 0.3
    assert fine.choices == {"batch_size": [32, 64], "optimizer": ["sgd"], "init": ["he"], "width": [16]}
    assert fine.reasons[2:] == [
        "momentum 0.7 to 0.9 spans the best 3 coarse trials",
        "dropout 0.27 to 0.33 spans the best 3 coarse trials, widened to a tenth of the coarse range",
        "batch size 32, 64 as in the best 3 coarse trials, none of which had 128",
        "optimizer sgd as in the best 3 coarse trials, none of which had adamw",
        "init he as in the best 3 coarse trials, none of which had gaussian:1e-2",
        "width 16 as in the best 3 coarse trials",
    ]


def test_trials_that_did_not_end_well_do_not_count() -> None:
    good = [made_up_result(n, 0.5 + n / 100, learning_rate=10 ** (-2 - n / 4)) for n in range(3)]
    bad = [
        made_up_result(3 + n, 0.99, status, learning_rate=1e-4)
        for n, status in enumerate(("diverged", "out_of_memory", "error"))
    ]
    fine = fine_range(RANGE, [*bad, *good])
    assert fine.learning_rate == pytest.approx((10**-2.5, 10**-2))


def test_stopped_trials_count_below_those_that_went_on() -> None:
    went_on = [made_up_result(n, 0.3, epochs=9, learning_rate=10 ** (-2 - n / 2)) for n in range(2)]
    stopped = [
        made_up_result(2, 0.9, "stopped", 1, learning_rate=10**-3.5),
        made_up_result(3, 0.1, "stopped", 3, learning_rate=10**-1.5),  # later in training, so it counts for more
    ]
    fine = fine_range(RANGE, [*stopped, *went_on])
    assert fine.learning_rate == pytest.approx((10**-2.5, 10**-1.5))


@pytest.mark.parametrize("statuses", [["diverged"], ["diverged", "error", "out_of_memory"]])
def test_no_finished_trial_is_an_error_that_says_how_many_there_were(statuses: list[str]) -> None:
    results = [made_up_result(n, 0.5, status) for n, status in enumerate(statuses)]
    with pytest.raises(RunFailedError, match=f"none of the {len(statuses)} coarse trials") as caught:
        fine_range(RANGE, results)
    assert "lower search.coarse.learning_rate" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
