"""Where to search: the coarse range, and the fine range that the coarse results point to."""

import math
from collections.abc import Sequence

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.search import (
    CoarseSettings,
    SearchRange,
    TrialResult,
)
from sanefit.components.hyperparameter_search.finished_trials import best_first
from sanefit.components.hyperparameter_search.space.axis import axes
from sanefit.components.hyperparameter_search.space.narrowing import listed, narrow, narrow_choices

TOP_SHARE = 0.2  # of the trials, whose values span the fine range
TOP_AT_LEAST = 3


def coarse_range(settings: CoarseSettings, band: tuple[float, float] | None) -> SearchRange:
    """The user's ranges and choices; for the learning rate the probe's band when the user gave none.

    Raises:
        RunFailedError: when there is neither a range nor a band.
    """
    if settings.learning_rate is not None:
        rates, reason = settings.learning_rate, "search.coarse.learning_rate"
    elif band is not None:
        rates, reason = band, "the learning-rate probe"
    else:
        raise RunFailedError(
            "no learning rate between 1e-7 and 10 was good in the probe, or there was no time for it, "
            "and search.coarse.learning_rate is not set; "
            "expected a range to search; look at the probe in the report, or set search.coarse.learning_rate"
        )
    searched = SearchRange(
        learning_rate=rates,
        weight_decay=settings.weight_decay,
        ranges=settings.ranges,
        choices=settings.choices,
        reasons=[],
    )
    origins = {"learning_rate": reason}
    reasons = [
        f"{axis.words} {axis.shown(axis.bounds[0])} to {axis.shown(axis.bounds[1])} from "
        f"{origins.get(axis.name, f'search.coarse.{axis.name}')}"
        for axis in axes(searched)
    ]
    reasons += [
        f"{name.replace('_', ' ')} {listed(given)} from search.coarse.{name}"
        for name, given in searched.choices.items()
    ]
    return searched.model_copy(update={"reasons": reasons})


def fine_range(searched: SearchRange, results: Sequence[TrialResult]) -> SearchRange:
    """The ranges that the best fifth of the coarse trials span, each widened at an edge, and the choices they made.

    Args:
        searched: the coarse range.
        results: the coarse trials; those that did not finish are left out.

    Raises:
        RunFailedError: when no trial finished.
    """
    finished = best_first(results, searched.metric)
    if not finished:
        raise RunFailedError(
            f"none of the {len(results)} coarse trials ended with a finite loss; expected at least one; "
            "lower search.coarse.learning_rate or search.coarse.weight_decay"
        )
    top = [result.spec.setting for result in finished[: max(TOP_AT_LEAST, math.ceil(TOP_SHARE * len(finished)))]]
    ranges = {axis.name: narrow([setting.searched[axis.name] for setting in top], axis) for axis in axes(searched)}
    choices = {name: narrow_choices(name, top, given) for name, given in searched.choices.items()}
    return SearchRange(
        learning_rate=ranges["learning_rate"][0],
        weight_decay=ranges["weight_decay"][0],
        ranges={name: ranges[name][0] for name in searched.ranges},
        choices={name: kept for name, (kept, _) in choices.items()},
        reasons=[f"{name.replace('_', ' ')} {reason}" for name, (_, reason) in (ranges | choices).items()],
        metric=searched.metric,
    )
