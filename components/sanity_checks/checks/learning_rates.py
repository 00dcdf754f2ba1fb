"""R4: some rate learns, and the rates asked for are among those that do."""

import math
from collections.abc import Sequence

from sanefit.components.foundation.schemas.checks import ProbedRate, Verdict
from sanefit.components.sanity_checks.check import Measurement
from sanefit.components.sanity_checks.probe.learning_rate_probe import HALF_A_STEP, describe_probe, learning_rate_band
from sanefit.components.sanity_checks.setup import Setup

LITTLE_OVERLAP = 0.1  # of the decades asked for
# The probe takes 60 steps; a search takes thousands, in which rates below the probe's band learn as well.
SLOWER = 30.0


def check_learning_rates(setup: Setup) -> Measurement:
    """Fails when no rate lowers the loss, or none of those asked for would; warns when few of those would.

    A rate asked for would learn when it lies between a thirtieth of a good rate and half a step of the probe above it.
    """
    asked = setup.learning_rates
    verdict, fix = _judge(setup.probe, asked)
    return Measurement(
        verdict=verdict,
        measured=describe_probe(setup.probe),
        expected="a good rate: the loss falls by at least 1%, and by at least half of the largest fall"
        + (
            f"; the searched range {asked[0]:.1e} to {asked[1]:.1e} overlaps the good rates, or comes within a factor "
            f"of {SLOWER:g} below them"
            if asked
            else ""
        ),
        fix=fix,
    )


def _judge(probe: Sequence[ProbedRate], asked: tuple[float, float] | None) -> tuple[Verdict, str]:
    band = learning_rate_band(probe)
    if band is None:
        return "fail", (
            "no rate that was tried lowers the loss: see the other checks, then change network.init, "
            "use batch norm, or normalize the pixels"
        )
    if asked is None:
        return "pass", ""
    instead = f"search {band[0]:.1e} to {band[1]:.1e} (search.coarse.learning_rate)"
    good = [rate.learning_rate for rate in probe if rate.verdict == "good"]
    overlap = _learning_decades(good, asked) / _decades(*asked)
    if not overlap:
        which = "low" if asked[1] < band[1] else "high"
        return "fail", (
            f"the rates asked for, {asked[0]:.1e} to {asked[1]:.1e}, are all too {which}: {instead}, or leave it to "
            "the probe"
        )
    if overlap < LITTLE_OVERLAP:
        return "warn", (
            f"only {overlap:.0%} of the decades asked for, {asked[0]:.1e} to {asked[1]:.1e}, learn: {instead}"
        )
    return "pass", ""


def _learning_decades(good: Sequence[float], asked: tuple[float, float]) -> float:
    """How many of the decades asked for are near one of these rates, which rise."""
    covered, start = 0.0, asked[0]
    for rate in good:
        low, high = max(start, rate / SLOWER), min(asked[1], rate * HALF_A_STEP)
        if high > low:
            covered += _decades(low, high)
            start = high
    return covered


def _decades(low: float, high: float) -> float:
    """Of a range whose ends are above 0; 0 when it is empty."""
    return max(0.0, math.log10(high / low))
