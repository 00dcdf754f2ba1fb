"""Cron expressions, against a plain reading of the scheduler's rules."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.schedules.cron import parse_cron

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
BOUNDS = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


@pytest.mark.parametrize(
    ("text", "normal", "times"),
    [
        ("0 3 * * 1", "0 0 3 * * 1", ["2026-11-30 03:00", "2026-12-07 03:00", "2026-12-14 03:00"]),
        ("0 0 3 * * 1", "0 0 3 * * 1", ["2026-11-30 03:00", "2026-12-07 03:00", "2026-12-14 03:00"]),
        (
            "  30  12 * *   MON-FRI ",
            "0 30 12 * * mon-fri",
            ["2026-11-23 12:30", "2026-11-24 12:30", "2026-11-25 12:30"],
        ),
        ("5/20 * * * *", "0 5/20 * * * *", ["2026-11-23 12:05", "2026-11-23 12:25", "2026-11-23 12:45"]),
        ("0 0 29 feb ?", "0 0 0 29 feb ?", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        # Both days given: either is enough. One of them a star, even with a step: both must fit.
        ("0 3 13 * 5", "0 0 3 13 * 5", ["2026-11-27 03:00", "2026-12-04 03:00", "2026-12-11 03:00"]),
        ("0 3 */2 * 1", "0 0 3 */2 * 1", ["2026-12-07 03:00", "2026-12-21 03:00", "2027-01-11 03:00"]),
    ],
)
def test_known_times(text: str, normal: str, times: list[str]) -> None:
    cron = parse_cron(text)
    assert cron.text == normal
    assert [time.strftime("%Y-%m-%d %H:%M") for time in cron.next_times(NOW, 3)] == times
    assert parse_cron(cron.text).text == cron.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "@daily",
        "@every 1h",
        "0 3 * * 7",  # Sunday is 0
        "0 22-2 * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 L * *",
        "0 0 * * 1#2",
        "0 0 * * 5L",
        "H 3 * * *",
        "*/0 * * * *",
        "-5 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "*-5 * * * *",
        "0 0 * * monday",
        "0 0 jan * *",
        "1,,2 * * * *",
        "0 3 * * 1;rm",
        "٣ 3 * * *",
    ],
)
def test_what_the_scheduler_does_not_take(text: str) -> None:
    with pytest.raises(SettingsError, match="--cron") as caught:
        parse_cron(text)
    assert caught.value.exit_status == 2
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_time_that_never_comes(text: str) -> None:
    with pytest.raises(SettingsError, match="within 5 years"):
        parse_cron(text).next_times(NOW, 3)


def part(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    starts = st.one_of(st.just("*"), number.map(str), ranges)
    return st.one_of(starts, st.tuples(starts, st.integers(1, 40)).map(lambda pair: f"{pair[0]}/{pair[1]}"))


def field(low: int, high: int) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), st.lists(part(low, high), min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(*(field(low, high) for low, high in BOUNDS)).map(" ".join)


def allows(text: str, low: int, high: int, value: int) -> bool:
    """One field, read as the scheduler's parser is written: N/step runs to the end."""
    for one in text.split(","):
        span, _, step = one.partition("/")
        start, _, end = span.partition("-")
        first = low if start == "*" else int(start)
        last = high if start == "*" or (step and not end) else int(end or start)
        if first <= value <= last and (value - first) % int(step or 1) == 0:
            return True
    return False


def comes(expression: str, time: datetime) -> bool:
    fields = expression.split()
    values = [time.second, time.minute, time.hour, time.day, time.month, time.isoweekday() % 7]
    fits = [allows(text, *bounds, value) for text, bounds, value in zip(fields, BOUNDS, values, strict=True)]
    starred = re.search(r"(^|,)\*", fields[3]) or re.search(r"(^|,)\*", fields[5])
    day = (fits[3] and fits[5]) if starred else (fits[3] or fits[5])
    return all(fits[:3]) and fits[4] and day


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(expression=EXPRESSIONS, seconds=st.integers(0, 366 * 24 * 3600))
def test_next_times_are_the_scheduler_s(expression: str, seconds: int) -> None:
    after = NOW + timedelta(seconds=seconds)
    try:
        [following] = parse_cron(expression).next_times(after, 1)
    except SettingsError:
        assume(False)
    assert following > after
    assert comes(expression, following)
    ahead = min(following, after + timedelta(hours=1))
    between = (after + timedelta(seconds=second) for second in range(1, int((ahead - after).total_seconds())))
    assert not any(comes(expression, time) for time in between)
    days = (following - after).days
    midnights = ((after + timedelta(days=day)).replace(hour=0, minute=0, second=0) for day in range(1, days))
    for midnight in midnights:  # no day in between would do
        first = [
            min(v for v in range(low, high + 1) if allows(text, low, high, v))
            for text, (low, high) in zip(expression.split()[:3], BOUNDS, strict=False)
        ]
        assert not comes(expression, midnight.replace(hour=first[2], minute=first[1], second=first[0]))
