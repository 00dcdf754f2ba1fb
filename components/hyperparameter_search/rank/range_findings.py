"""Whether each searched range was wide enough."""

import math
import statistics
from collections.abc import Sequence

from sanefit.components.foundation.schemas.search import TOO_NARROW, SearchRange, Stage, TrialResult
from sanefit.components.hyperparameter_search.finished_trials import best_first
from sanefit.components.hyperparameter_search.space.axis import Axis, axes
from sanefit.components.hyperparameter_search.space.narrowing import EDGE_SHARE

TRIALS_AT_LEAST = 10
FEW_SHARE = 0.1
FEW_AT_LEAST = 3
VALUES_AT_LEAST = 5  # a grid of fewer points has too large a share of its trials at the bounds


def range_findings(stage: Stage, searched: SearchRange, results: Sequence[TrialResult]) -> list[str]:
    """A sentence on each range, with its numbers.

    A range was too narrow at a bound when half of the best tenth of the finished trials, at least three,
    lie within a tenth of the range's width from it, and values beyond it are legal. Not the single best: where
    a value matters little, the best lies that near to one of two bounds in a fifth of all searches.

    Args:
        stage: the fine stage widens a coarse range by itself where the single best lies at the edge; the fine range
            need not reach the coarse bounds, so there the advice is another.
        searched: what was searched.
        results: every trial of the stage.
    """
    finished = best_first(results, searched.metric)
    if len(finished) < TRIALS_AT_LEAST:
        return [
            f"{len(finished)} finished trials are too few to say whether the ranges were wide enough; expected "
            f"{TRIALS_AT_LEAST}"
        ]
    return [
        _finding(stage, axis, [result.spec.setting.searched[axis.name] for result in finished])
        for axis in axes(searched)
    ]


def _finding(stage: Stage, axis: Axis, values: Sequence[float]) -> str:
    """``values``: of the finished trials, the best first."""
    searched = f"{axis.words} {axis.shown(axis.bounds[0])} to {axis.shown(axis.bounds[1])}"
    if (different := len(set(values))) < VALUES_AT_LEAST:
        return f"{searched}: {different} values are too few to say whether it was wide enough"
    few = values[: max(FEW_AT_LEAST, math.ceil(FEW_SHARE * len(values)))]
    places = [axis.place(value) for value in few]
    low, high = axis.ends
    middle = statistics.median(places)
    edge = EDGE_SHARE * axis.width
    side, from_bound, from_best, open_end = (
        ("lower", middle - low, places[0] - low, low > axis.lowest)
        if middle - low <= high - middle
        else ("upper", high - middle, high - places[0], high < axis.highest)
    )
    narrow = from_bound <= edge and open_end
    verdict = f"{TOO_NARROW} {'below' if side == 'lower' else 'above'}" if narrow else "wide enough"
    finding = (
        f"{searched} was {verdict}: the best {len(few)} of {len(values)} trials lie at {axis.shown(min(few))} to "
        f"{axis.shown(max(few))}, half of them within {axis.distance(from_bound)} of the {side} bound"
    )
    if not narrow:
        return finding
    if stage == "fine":
        return f"{finding}; set search.coarse.{axis.name} around them and search again"
    itself = ", as the fine stage does by itself" if from_best <= edge else ""
    return f"{finding}; widen search.coarse.{axis.name}{itself}"
