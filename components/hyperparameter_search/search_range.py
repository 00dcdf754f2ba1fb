"""Where to search: the coarse range, and the fine range that the coarse results point to."""

import math
from collections.abc import Sequence

from components.foundation.errors import RunFailedError
from components.foundation.training_artifacts import SearchRange, TrialResult
from components.foundation.training_settings import CoarseSettings

TOP_SHARE = 0.2  # of the trials, whose values span the fine range
TOP_AT_LEAST = 3
EDGE_SHARE = 0.1  # of the range's width in decades: closer to a bound than this is "at the edge"
WIDEN_SHARE = 0.25  # of that width, by which the range then grows beyond the bound
NARROWEST_DECADES = 0.5


def coarse_range(settings: CoarseSettings, band: tuple[float, float] | None) -> SearchRange:
    """The user's ranges; for the learning rate the probe's band when the user gave none.

    Raises:
        RunFailedError: when there is neither a range nor a band.
    """
    if settings.learning_rate is not None:
        rates, reason = settings.learning_rate, "search.coarse.learning_rate"
    elif band is not None:
        rates, reason = band, "the learning-rate probe"
    else:
        raise RunFailedError(
            "no learning rate between 1e-7 and 10 was good in the probe, and search.coarse.learning_rate is not set; "
            "expected a range to search; look at the probe in the report, or set search.coarse.learning_rate"
        )
    return SearchRange(
        learning_rate=rates,
        weight_decay=settings.weight_decay,
        reasons=[
            f"learning rate {rates[0]:.1e} to {rates[1]:.1e} from {reason}",
            f"weight decay {settings.weight_decay[0]:.1e} to {settings.weight_decay[1]:.1e} from "
            "search.coarse.weight_decay",
        ],
    )


def fine_range(searched: SearchRange, results: Sequence[TrialResult]) -> SearchRange:
    """The ranges that the best fifth of the coarse trials span, each widened at an edge.

    Args:
        searched: the coarse range.
        results: the coarse trials; those that did not end ``ok`` are left out.

    Raises:
        RunFailedError: when no trial ended ``ok``.
    """
    finished = sorted(
        (result for result in results if result.status == "ok"),
        key=lambda result: result.validation_accuracy,
        reverse=True,
    )
    if not finished:
        raise RunFailedError(
            f"none of the {len(results)} coarse trials ended with a finite loss; expected at least one; "
            "lower search.coarse.learning_rate or search.coarse.weight_decay"
        )
    top = [result.spec.setting for result in finished[: max(TOP_AT_LEAST, math.ceil(TOP_SHARE * len(finished)))]]
    rates, rate_reason = narrow([setting.learning_rate for setting in top], searched.learning_rate)
    decays, decay_reason = narrow([setting.weight_decay for setting in top], searched.weight_decay)
    return SearchRange(
        learning_rate=rates,
        weight_decay=decays,
        reasons=[f"learning rate {rate_reason}", f"weight decay {decay_reason}"],
    )


def narrow(top: Sequence[float], bounds: tuple[float, float]) -> tuple[tuple[float, float], str]:
    """The new bounds of one parameter, and why.

    The new range spans ``top``. It grows beyond an old bound by a quarter of the old width when
    the best value lies within a tenth of that width from it, and to both sides
    when it is narrower than half a decade. All widths are in decades.

    Args:
        top: values of the best trials, the best first, above 0.
        bounds: the range that was searched.
    """
    low, high = math.log10(bounds[0]), math.log10(bounds[1])
    width = high - low
    exponents = [math.log10(value) for value in top]
    new_low, new_high = min(exponents), max(exponents)
    notes = []
    if exponents[0] - low <= EDGE_SHARE * width:
        new_low = low - WIDEN_SHARE * width
        notes.append(f"widened below {bounds[0]:.1e}, where the best lay at the edge")
    if high - exponents[0] <= EDGE_SHARE * width:
        new_high = high + WIDEN_SHARE * width
        notes.append(f"widened above {bounds[1]:.1e}, where the best lay at the edge")
    if (missing := NARROWEST_DECADES - (new_high - new_low)) > 0:
        new_low, new_high = new_low - missing / 2, new_high + missing / 2
        notes.append("widened to half a decade")
    new = (10**new_low, 10**new_high)
    reason = f"{new[0]:.1e} to {new[1]:.1e} spans the best {len(top)} coarse trials"
    return new, ", ".join([reason, *notes])
