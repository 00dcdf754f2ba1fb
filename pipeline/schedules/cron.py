"""Cron expressions as Kubeflow's scheduler reads them.

Its parser takes six fields, seconds first; given five it takes the first for seconds. Unlike
others it has no 7 for Sunday and no ranges around midnight, and a time that never comes makes it
start runs without end.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from croniter import CroniterError, croniter  # type: ignore[import-untyped]

from sanefit.components.foundation.errors import SettingsError

MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
MONTHS = {name: number for number, name in enumerate(MONTH_NAMES, 1)}
WEEKDAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("days of the month", 1, 31, {}),
    ("months", 1, 12, MONTHS),
    ("days of the week", 0, 6, WEEKDAYS),
)
RANGE = re.compile(r"(?P<low>[*?]|\w+)(-(?P<high>\w+))?(/(?P<step>\d+))?")
YEARS_AHEAD = 5  # as the scheduler looks


@dataclass(frozen=True)
class Cron:
    """``text``: six fields, for Kubeflow; ``values``: what each allows.

    ``either_day``: a day needs to fit only one of its two fields, as when neither begins with ``*``.
    """

    text: str
    values: tuple[tuple[int, ...], ...]
    either_day: bool

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """The next times, in the zone of ``after``.

        Raises:
            SettingsError: when none comes within five years.
        """
        schedule = self._times(after)
        try:
            return [schedule.get_next(datetime) for _ in range(count)]
        except CroniterError:
            raise SettingsError(
                f"--cron {self.text!r}: expected a time that comes within {YEARS_AHEAD} years; correct the days"
            ) from None

    def last_time(self, before: datetime) -> datetime | None:
        """The last time before this one, in its zone; None when there was none within five years."""
        try:
            found: datetime = self._times(before).get_prev(datetime)
        except CroniterError:
            return None
        return found

    def _times(self, start: datetime) -> croniter:
        second, *others = (",".join(map(str, values)) for values in self.values)
        text = " ".join([*others, second])
        return croniter(text, start, day_or=self.either_day, max_years_between_matches=YEARS_AHEAD)


def parse_cron(text: str) -> Cron:
    """Read five fields (minutes first) or six (seconds first).

    Raises:
        SettingsError: for anything that Kubeflow's scheduler does not take, or takes otherwise.
    """
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != len(FIELDS):
        raise SettingsError(
            f"--cron {text!r}: {len(fields)} fields; expected 5 (minutes first) or 6 (seconds first), as in "
            "'0 3 * * 1' or '0 0 3 * * 1' for Mondays at 3; correct it"
        )
    values = tuple(
        tuple(sorted({value for part in field.split(",") for value in _values(text, part, *expected)}))
        for field, expected in zip(fields, FIELDS, strict=True)
    )
    any_day = any(part[0] in "*?" for field in (fields[3], fields[5]) for part in field.split(","))
    return Cron(" ".join(fields).lower(), values, either_day=not any_day)


def _values(text: str, part: str, name: str, lowest: int, highest: int, names: dict[str, int]) -> Iterator[int]:
    match = RANGE.fullmatch(part)
    if match is None or (match["low"] in "*?" and match["high"]):
        raise _error(text, part, name, "a number, a range as 1-5, a step as */2, or a list of them")
    low = lowest if match["low"] in "*?" else _number(text, part, match["low"], name, names)
    high = highest if match["low"] in "*?" or match["step"] else low
    if match["high"]:
        high = _number(text, part, match["high"], name, names)
    step = int(match["step"] or 1)
    if not lowest <= low <= high <= highest or step == 0:
        raise _error(text, part, name, f"{lowest} to {highest}, the lower end first, steps of 1 or more")
    yield from range(low, high + 1, step)


def _number(text: str, part: str, word: str, name: str, names: dict[str, int]) -> int:
    if word.lower() in names:
        return names[word.lower()]
    if not re.fullmatch(r"[0-9]+", word):
        raise _error(text, part, name, f"a number{' or a name as ' + next(iter(names)) if names else ''}")
    return int(word)


def _error(text: str, part: str, name: str, expected: str) -> SettingsError:
    return SettingsError(f"--cron {text!r}: {part!r} in the {name}; expected {expected}; correct it")
