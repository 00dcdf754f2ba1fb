import pytest
from trial_results import made_up_result

from sanefit.components.foundation.schemas.search import SearchRange, TrialResult
from sanefit.components.hyperparameter_search.plan.drawing import draw_random
from sanefit.components.hyperparameter_search.rank.range_findings import range_findings

RANGE = SearchRange(learning_rate=(1e-6, 1e-3), weight_decay=(1e-5, 1e5), reasons=[])


def ranked(rates: list[float], others: int, **values: float) -> list[TrialResult]:
    """Trials with these exponents of the rate, the best first, then ``others`` in the middle of the range.

    All have the ``values``, and a weight decay of 1, and a hair more, as no two draws are the same.
    """
    exponents = [*rates, *[-4.5] * others]
    return [
        made_up_result(
            n,
            0.9 - n / 1000,
            learning_rate=10 ** (exponent + n * 1e-9),
            weight_decay=1.0 + n * 1e-9,
            **{name: value + n * 1e-9 for name, value in values.items()},
        )
        for n, exponent in enumerate(exponents)
    ]


def test_a_wide_range_is_told_with_its_numbers() -> None:
    few = [-3.5, -3.6, -3.4, -3.7, -3.3, -3.8, -3.46, -3.55, -3.4, -3.4]  # their median is -3.48
    assert range_findings("coarse", RANGE, ranked(few, 90)) == [
        "learning rate 1.0e-06 to 1.0e-03 was wide enough: the best 10 of 100 trials lie at 1.6e-04 to 5.0e-04, "
        "half of them within 0.48 decades of the upper bound",
        "weight decay 1.0e-05 to 1.0e+05 was wide enough: the best 10 of 100 trials lie at 1.0e+00 to 1.0e+00, "
        "half of them within 5.00 decades of the upper bound",
    ]


def test_a_range_that_is_too_narrow_above_is_told_what_to_do() -> None:
    few = [-3.05, -3.1, -3.2, -3.26, -3.9, -4.5, -3.1, -3.2, -3.9, -4.0]  # their median is -3.23
    [rate, _] = range_findings("coarse", RANGE, ranked(few, 90))
    assert rate == (
        "learning rate 1.0e-06 to 1.0e-03 was too narrow above: the best 10 of 100 trials lie at 3.2e-05 to 8.9e-04, "
        "half of them within 0.23 decades of the upper bound; widen search.coarse.learning_rate, as the fine stage "
        "does by itself"
    )
    [rate, _] = range_findings("fine", RANGE, ranked(few, 90))
    assert rate.endswith("of the upper bound; set search.coarse.learning_rate around them and search again")


def test_the_fine_stage_is_not_said_to_widen_where_the_best_trial_is_not_at_the_edge() -> None:
    [rate, _] = range_findings("coarse", RANGE, ranked([-4.0, -5.9, -5.95, -5.8, -5.75], 25))
    assert "was too narrow below" in rate
    assert "the best 3 of 30 trials" in rate
    assert rate.endswith("of the lower bound; widen search.coarse.learning_rate")


def test_the_single_best_at_the_edge_is_not_enough() -> None:
    [rate, _] = range_findings("coarse", RANGE, ranked([-3.01, -4.4, -4.6], 27))
    assert "was wide enough" in rate


@pytest.mark.parametrize(
    ("name", "bounds", "value", "verdict"),
    [
        ("dropout", (0.0, 0.5), 0.01, "wide enough"),  # there is nothing below 0
        ("dropout", (0.1, 0.5), 0.11, "too narrow below"),
        ("dropout", (0.0, 0.5), 0.49, "too narrow above"),
        ("warmup", (0.1, 0.5), 0.49, "wide enough"),
        ("momentum", (0.5, 0.9), 0.89, "too narrow above"),
        ("momentum", (0.5, 0.999), 0.99, "wide enough"),
        ("momentum", (0.5, 0.9), 0.85, "wide enough"),
    ],
)
def test_a_linear_range_is_judged_on_its_own_scale_and_only_where_it_could_go_on(
    name: str, bounds: tuple[float, float], value: float, verdict: str
) -> None:
    searched = RANGE.model_copy(update={"ranges": {name: bounds}})
    finding = range_findings("coarse", searched, ranked([], 30, **{name: value}))[2]
    assert finding.startswith(f"{name} {bounds[0]:g} to {bounds[1]:g} was {verdict}: ")
    assert (f"widen search.coarse.{name}" in finding) == (verdict != "wide enough")


def test_stopped_trials_rank_below_and_failed_ones_are_left_out() -> None:
    high = [made_up_result(n, 0.4, epochs=5, learning_rate=9e-4 + n * 1e-6) for n in range(5)]
    low = [made_up_result(n, 0.9, "stopped" if n % 2 else "diverged", 1, learning_rate=1.1e-6) for n in range(5, 55)]
    [rate, _] = range_findings("coarse", RANGE, [*low, *high])
    assert "was too narrow above: the best 3 of 30 trials" in rate


@pytest.mark.parametrize(("points", "told"), [(2, False), (4, False), (5, True), (10, True)])
def test_a_grid_of_few_points_does_not_tell_whether_its_range_was_wide_enough(points: int, told: bool) -> None:
    """Of two points both are bounds."""
    results = [
        made_up_result(n, 0.9 - (n % points) / 100, learning_rate=10 ** (-3 - 3 * (n % points) / (points - 1)))
        for n in range(40)
    ]
    [rate, decay] = range_findings("coarse", RANGE, results)
    assert ("was too narrow above" in rate) == told
    assert (
        rate == f"learning rate 1.0e-06 to 1.0e-03: {points} values are too few to say whether it was wide enough"
    ) == (not told)
    assert decay.endswith("1 values are too few to say whether it was wide enough")


def test_few_trials_are_said_to_be_too_few() -> None:
    assert range_findings("coarse", RANGE, ranked([], 9)) == [
        "9 finished trials are too few to say whether the ranges were wide enough; expected 10"
    ]


def test_in_simulated_searches_it_finds_the_edge_and_raises_few_false_alarms() -> None:
    """Where rate alone matters and its best lies beyond the range; the decay does not matter."""
    alarms = {"learning rate": 0, "weight decay": 0}
    for seed in range(20):
        settings = sorted(draw_random(RANGE, 100, seed), key=lambda setting: -setting.learning_rate)
        results = [made_up_result(n, 0.9 - n / 200, **setting.searched) for n, setting in enumerate(settings)]
        for finding in range_findings("coarse", RANGE, results):
            alarms[" ".join(finding.split()[:2])] += "too narrow" in finding
    assert alarms["learning rate"] >= 18
    assert alarms["weight decay"] <= 1
