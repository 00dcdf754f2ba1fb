"""A range that is searched between two bounds, as places on a straight line: decades, or the value itself."""

import math
from dataclasses import dataclass, replace

from sanefit.components.foundation.schemas.search import SearchRange
from sanefit.components.foundation.schemas.searchable import SEARCHABLE

NARROWEST_DECADES = 0.5
NARROWEST_SHARE = 0.1  # of the searched width, on a linear scale


@dataclass(frozen=True)
class Axis:
    """One searched range. ``lowest`` and ``highest``: places beyond which it never grows."""

    name: str
    bounds: tuple[float, float]
    log: bool
    lowest: float = -math.inf
    highest: float = math.inf

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.name.replace("_", " ")

    @property
    def ends(self) -> tuple[float, float]:
        """Places of both bounds."""
        return self.place(self.bounds[0]), self.place(self.bounds[1])

    @property
    def width(self) -> float:
        """In decades, or in the value's own unit."""
        low, high = self.ends
        return high - low

    @property
    def narrowest(self) -> float:
        """The least width that a narrowed range has."""
        return NARROWEST_DECADES if self.log else NARROWEST_SHARE * self.width

    def place(self, value: float) -> float:
        """Where a value lies."""
        if not self.log:
            return value
        return math.log10(value) if value > 0 else -math.inf

    def value(self, place: float) -> float:
        """What lies there."""
        return 10.0**place if self.log else place

    def shown(self, value: float) -> str:
        """A value in a sentence."""
        return f"{value:.1e}" if self.log else f"{value:.3g}"

    def distance(self, width: float) -> str:
        """A difference of places in a sentence."""
        return f"{width:.2f} decades" if self.log else f"{width:.2g}"


def axis_of(name: str, bounds: tuple[float, float]) -> Axis:
    """The axis of a value, in decades for learning rate and weight decay.

    It never leaves what is legal, or what was asked for when that is more.
    """
    if name not in SEARCHABLE:
        return Axis(name, bounds, log=True)
    axis = Axis(name, bounds, log=SEARCHABLE[name].scale == "log")
    lowest, highest = SEARCHABLE[name].farthest
    return replace(axis, lowest=axis.place(lowest), highest=axis.place(max(highest, bounds[1])))


def axes(searched: SearchRange) -> list[Axis]:
    """Every range that is searched between bounds."""
    return [
        axis_of("learning_rate", searched.learning_rate),
        axis_of("weight_decay", searched.weight_decay),
        *(axis_of(name, bounds) for name, bounds in searched.ranges.items()),
    ]
