"""R4: some rate learns, and the rates asked for are among those that do."""

import math

from sanefit.components.foundation.schemas.checks import GateResult, ProbedRate
from sanefit.components.sanity_checks.probe.learning_rate_probe import describe_probe, learning_rate_band

LITTLE_OVERLAP = 0.1  # of the decades asked for
# The probe takes 60 steps; a search takes thousands, in which rates below the probe's band learn as well.
SLOWER = 30.0


def check_learning_rates(probe: list[ProbedRate], asked: tuple[float, float] | None) -> GateResult:
    """Fails when no rate lowers the loss, or none of those asked for would; warns when few of those would.

    A rate asked for would learn when it lies between a thirtieth of the probe's band and its upper end.

    Args:
        probe: the rates' verdicts.
        asked: the range that would be searched; None when it comes from the probe.
    """
    band = learning_rate_band(probe)
    verdict, fix = "pass", ""
    if band is None:
        verdict, fix = (
            "fail",
            (
                "no rate from 1e-7 to 10 lowers the loss in 60 steps: see the other checks, then change network.init, "
                "use batch norm, or normalize the pixels"
            ),
        )
    elif asked is not None:
        low, high = band[0] / SLOWER, band[1]
        overlap = _decades(max(low, asked[0]), min(high, asked[1])) / _decades(*asked)
        if asked[1] < low or asked[0] > high:
            which = "low" if asked[1] < low else "high"
            verdict, fix = (
                "fail",
                (
                    f"the rates asked for, {asked[0]:.1e} to {asked[1]:.1e}, are all too {which}: search "
                    f"{band[0]:.1e} to {band[1]:.1e} (search.coarse.learning_rate), or leave it to the probe"
                ),
            )
        elif overlap < LITTLE_OVERLAP:
            verdict, fix = (
                "warn",
                (
                    f"only {overlap:.0%} of the decades asked for, {asked[0]:.1e} to {asked[1]:.1e}, learn: search "
                    f"{band[0]:.1e} to {band[1]:.1e} (search.coarse.learning_rate)"
                ),
            )
    return GateResult.model_validate(
        {
            "name": "learning_rates",
            "row": "R4",
            "title": "learning rates",
            "verdict": verdict,
            "measured": describe_probe(probe),
            "expected": "some good rates" + (f", among {asked[0]:.1e} to {asked[1]:.1e}" if asked else ""),
            "reason": "a rate too small hardly moves the loss, a rate too big explodes: the search starts between",
            "fix": fix,
        }
    )


def _decades(low: float, high: float) -> float:
    """Of a range whose ends are above 0; 0 when it is empty."""
    return max(0.0, math.log10(high / low))
