"""One line of a comparison: what the slides print, what we got, and whether the two agree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """``row``: of the lecture's ledger. ``agreement``: what counts as the same, in words."""

    row: str
    title: str
    theirs: str
    ours: str
    agreement: str
    passed: bool


def same_numbers(
    row: str, title: str, theirs: Sequence[str], ours: Sequence[float], *, relative: float, smallest: float = 0.0
) -> Comparison:
    """Compare figures one by one, within ``relative`` and half of the last digit that the slides print.

    Args:
        row, title: of the comparison.
        theirs: as printed, so that their digits count.
        ours: as many.
        relative: share of their figure.
        smallest: figures of theirs below this only have to be below it here as well, times 2.
    """
    agrees = all(_agrees(text, value, relative, smallest) for text, value in zip(theirs, ours, strict=True))
    words = f"each within {relative:.1%} and half of the last digit"
    return Comparison(
        row=row,
        title=title,
        theirs=" ".join(theirs),
        ours=" ".join(f"{value:.4g}" for value in ours),
        agreement=words + (f"; below {smallest:g}, of that size" if smallest else ""),
        passed=agrees,
    )


def _agrees(text: str, value: float, relative: float, smallest: float) -> bool:
    figure = float(text)
    if figure < smallest:
        return value < 2 * smallest
    return math.isfinite(value) and abs(value - figure) <= relative * figure + _half_last_digit(text)


def _half_last_digit(text: str) -> float:
    digits, _, exponent = text.partition("e")
    decimals = len(digits.partition(".")[2])
    return float(0.5 * 10.0 ** (int(exponent or 0) - decimals))
