import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sanefit.components.foundation.schemas.searchable import SEARCHABLE, Searchable
from sanefit.components.hyperparameter_search.space.axis import axis_of
from sanefit.components.hyperparameter_search.space.narrowing import narrow

SLACK = 1e-9
LEGAL: dict[str, tuple[float, float]] = {"momentum": (0, 1), "dropout": (0, 1), "warmup": (0, 0.5)}
FARTHEST: dict[str, float] = {"momentum": 0.999, "dropout": 0.95, "warmup": 0.5}


def span(
    places: list[float],
    low: float,
    high: float,
    narrowest: float,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[float, float]:
    """The narrowed range; the best trial's place comes first."""
    tenth, quarter = (high - low) / 10, (high - low) / 4
    new_low = max(low - quarter, limits[0]) if places[0] <= low + tenth else min(places)
    new_high = min(high + quarter, limits[1]) if places[0] >= high - tenth else max(places)
    middle, half = (new_low + new_high) / 2, max(new_high - new_low, narrowest) / 2
    return max(middle - half, limits[0]), min(middle + half, limits[1])


@st.composite
def shares(draw: st.DrawFn) -> list[float]:
    """Where the best trials lie, as shares of the width; the best is not just between edge and middle."""
    places = draw(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    assume(all(abs(places[0] - edge) > 1e-6 for edge in (0.1, 0.9)))
    return places


@given(st.floats(-8, 4), st.floats(0.05, 10), shares())
def test_the_narrowed_range_spans_the_top_and_leaves_the_old_one_only_at_an_edge(
    low: float, width: float, places: list[float]
) -> None:
    exponents = [low + place * width for place in places]
    bounds = (10**low, 10 ** (low + width))
    # Rounding must not take a value out of the range.
    top = [min(max(10**exponent, bounds[0]), bounds[1]) for exponent in exponents]
    new, reason = narrow(top, axis_of("learning_rate", bounds))
    new_low, new_high = math.log10(new[0]), math.log10(new[1])
    assert new_high - new_low >= 0.5 - SLACK
    assert all(new_low - SLACK <= exponent <= new_high + SLACK for exponent in exponents)
    at_low, at_high = places[0] < 0.1, places[0] > 0.9
    assert (new_low, new_high) == pytest.approx(span(exponents, low, low + width, 0.5), abs=SLACK)
    if max(exponents) - min(exponents) >= 0.5 and not at_low and not at_high:
        assert new == (min(top), max(top))  # to the last digit: a study of the new range takes no trial outside it
    if max(exponents) - min(exponents) >= 0.5:
        assert at_low or new_low >= low - SLACK
        assert at_high or new_high <= low + width + SLACK
    assert ("widened below" in reason, "widened above" in reason) == (at_low, at_high)
    assert f"the best {len(places)} coarse trials" in reason


@given(st.sampled_from(sorted(LEGAL)), st.data(), shares())
def test_a_linear_range_does_the_same_on_its_own_scale_and_stays_legal(
    name: str, data: st.DataObject, places: list[float]
) -> None:
    legal_low, legal_high = LEGAL[name]
    low = data.draw(st.floats(legal_low, legal_high - 0.02))
    high = data.draw(st.floats(low + 0.01, legal_high, exclude_max=name != "warmup"))
    top = [min(low + place * (high - low), high) for place in places]
    new, reason = narrow(top, axis_of(name, (low, high)))
    assert legal_low <= new[0] < new[1] <= legal_high
    assert name == "warmup" or new[1] < 1
    assert new[0] - SLACK <= min(top) <= max(top) <= new[1] + SLACK
    limits = (0.0, max(FARTHEST[name], high))
    assert new == pytest.approx(span(top, low, high, (high - low) / 10, limits), abs=SLACK)
    assert ("widened above" in reason) == (places[0] > 0.9 and new[1] > high)
    assert ("widened below" in reason) == (places[0] < 0.1 and low > 0)


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
    assert narrow(top, axis_of("weight_decay", bounds))[0] == pytest.approx(narrowed)


@pytest.mark.parametrize(
    ("name", "top", "bounds", "narrowed"),
    [
        ("momentum", [0.8, 0.7, 0.9], (0.5, 0.99), (0.7, 0.9)),
        ("momentum", [0.98, 0.9], (0.8, 0.99), (0.9, 0.999)),  # 0.99 + a quarter of 0.19 is no momentum
        ("momentum", [0.9995, 0.98], (0.9, 0.9995), (0.98, 0.9995)),  # as far as the user went
        ("dropout", [0.49, 0.3], (0.0, 0.5), (0.3, 0.625)),
        ("dropout", [0.01, 0.2], (0.0, 0.5), (0.0, 0.2)),
        ("dropout", [0.11, 0.2], (0.1, 0.5), (0.0, 0.2)),
        ("warmup", [0.29, 0.2], (0.1, 0.3), (0.2, 0.35)),
        ("warmup", [0.5, 0.2], (0.1, 0.5), (0.2, 0.5)),
    ],
)
def test_narrowing_a_linear_range_gives_these(
    name: str, top: list[float], bounds: tuple[float, float], narrowed: tuple[float, float]
) -> None:
    assert narrow(top, axis_of(name, bounds))[0] == pytest.approx(narrowed)


def test_a_further_value_in_the_logarithm_ends_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEARCHABLE, "leak", Searchable("leak", "network", "log", float, "free", farthest=(0, 1)))
    assert narrow([0.9, 0.1], axis_of("leak", (1e-4, 1.0)))[0] == pytest.approx((0.1, 1.0))
    assert narrow([1e-4, 1e-3], axis_of("leak", (1e-4, 1.0)))[0] == pytest.approx((1e-5, 1e-3))


def test_the_reason_gives_the_new_range_and_why_it_grew_or_could_not() -> None:
    assert narrow([1e-6, 1e-3], axis_of("learning_rate", (1e-6, 1e-2)))[1] == (
        "1.0e-07 to 1.0e-03 spans the best 2 coarse trials, widened below 1.0e-06, where the best lay at the edge"
    )
    assert narrow([1e-3], axis_of("learning_rate", (1e-6, 1e0)))[1].endswith("coarse trials, widened to half a decade")
    assert narrow([0.01, 0.2], axis_of("dropout", (0.0, 0.5)))[1] == (
        "0 to 0.2 spans the best 2 coarse trials, kept to 0, beyond which it cannot go"
    )
    assert narrow([0.49, 0.2], axis_of("warmup", (0.1, 0.5)))[1] == (
        "0.2 to 0.5 spans the best 2 coarse trials, kept to 0.5, beyond which it cannot go"
    )
