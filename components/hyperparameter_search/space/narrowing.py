"""Narrow one searched range, or one list of choices, to what the best trials had."""

from collections.abc import Sequence

from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.searchable import Value
from sanefit.components.hyperparameter_search.space.axis import Axis

EDGE_SHARE = 0.1  # of the range's width: closer to a bound than this is "at the edge"
WIDEN_SHARE = 0.25  # of that width, by which the range then grows beyond the bound


def narrow(top: Sequence[float], axis: Axis) -> tuple[tuple[float, float], str]:
    """The new bounds of one parameter, and why.

    The new range spans ``top``. It grows beyond an old bound by a quarter of the old width when
    the best value lies within a tenth of that width from it, and to both sides
    when it is narrower than half a decade, or on a linear scale than a tenth of the old width. It
    never leaves what is legal. All widths are in decades, or on the linear scale in the value's unit.

    Args:
        top: values of the best trials, the best first, within the bounds.
        axis: the range that was searched.
    """
    places = [axis.place(value) for value in top]
    low, high = axis.ends
    new_low, new_high = min(places), max(places)
    edge, growth = EDGE_SHARE * axis.width, WIDEN_SHARE * axis.width
    notes = []
    if places[0] - low <= edge:
        new_low = max(low - growth, axis.lowest)
        notes.append(_at_edge(axis, "below", axis.bounds[0], new_low < low))
    if high - places[0] <= edge:
        new_high = min(high + growth, axis.highest)
        notes.append(_at_edge(axis, "above", axis.bounds[1], new_high > high))
    if (missing := axis.narrowest - (new_high - new_low)) > 0:
        new_low, new_high = new_low - missing / 2, new_high + missing / 2
        notes.append(f"widened to {'half a decade' if axis.log else 'a tenth of the coarse range'}")
    # A bound that is one of the best values is that value to the last digit, so that its trial lies inside.
    exactly = dict(zip(places, top, strict=True))
    bounds = max(new_low, axis.lowest), min(new_high, axis.highest)
    new = exactly.get(bounds[0], axis.value(bounds[0])), exactly.get(bounds[1], axis.value(bounds[1]))
    reason = f"{axis.shown(new[0])} to {axis.shown(new[1])} spans the best {len(top)} coarse trials"
    return new, ", ".join([reason, *notes])


def narrow_choices(name: str, top: Sequence[TrialSetting], choices: Sequence[Value]) -> tuple[list[Value], str]:
    """The choices that occur among the best trials, in their old order, and why.

    Args:
        name: of the value.
        top: the best trials.
        choices: that were searched.
    """
    chosen = {setting.searched[name] for setting in top}
    kept = [choice for choice in choices if choice in chosen]
    dropped = [choice for choice in choices if choice not in chosen]
    reason = f"{listed(kept)} as in the best {len(top)} coarse trials"
    return kept, f"{reason}, none of which had {listed(dropped)}" if dropped else reason


def listed(choices: Sequence[Value]) -> str:
    """Choices in a sentence."""
    return ", ".join(str(choice) for choice in choices)


def _at_edge(axis: Axis, side: str, bound: float, grew: bool) -> str:
    if grew:
        return f"widened {side} {axis.shown(bound)}, where the best lay at the edge"
    return f"kept to {axis.shown(bound)}, beyond which it cannot go"
