"""A range that is searched between two bounds, as places on a straight line: decades, or the value itself."""

import math
from dataclasses import dataclass

from sanefit.components.foundation.schemas.search import LinearName, SearchRange

NARROWEST_DECADES = 0.5
NARROWEST_SHARE = 0.1  # of the searched width, on a linear scale
# Where a value may be at all, below 1 with room for the network to learn: an average over 1,000 steps, 1 unit in 20.
LEGAL: dict[LinearName, tuple[float, float]] = {"momentum": (0, 0.999), "dropout": (0, 0.95), "warmup": (0, 0.5)}


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
        return math.log10(value) if self.log else value

    def value(self, place: float) -> float:
        """What lies there."""
        return 10.0**place if self.log else place

    def shown(self, value: float) -> str:
        """A value in a sentence."""
        return f"{value:.1e}" if self.log else f"{value:.3g}"

    def distance(self, width: float) -> str:
        """A difference of places in a sentence."""
        return f"{width:.2f} decades" if self.log else f"{width:.2g}"


def log_axis(name: str, bounds: tuple[float, float]) -> Axis:
    """An axis in decades; both bounds above 0."""
    return Axis(name, bounds, log=True)


def linear_axis(name: LinearName, bounds: tuple[float, float]) -> Axis:
    """An axis on a linear scale, which never leaves what is legal, or what was asked for when that is more."""
    lowest, highest = LEGAL[name]
    return Axis(name, bounds, log=False, lowest=lowest, highest=max(highest, bounds[1]))


def axes(searched: SearchRange) -> list[Axis]:
    """Every range that is searched between bounds."""
    return [
        log_axis("learning_rate", searched.learning_rate),
        log_axis("weight_decay", searched.weight_decay),
        *(linear_axis(name, bounds) for name, bounds in searched.linear.items()),
    ]
