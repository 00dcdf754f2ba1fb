"""When images count as drifted from those that a version was trained on."""

from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from sanefit.components.foundation.schemas.bases import Settings

EffectSize = Literal["small", "medium", "large"]


class LeastEffect(NamedTuple):
    """``shift``: of a mean, in standard deviations, Cohen's d. ``mix``: of shares of classes, Cohen's w."""

    shift: float
    mix: float


# J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, 2.2.3 and 7.2.3.
LEAST_EFFECT: Final[dict[EffectSize, LeastEffect]] = {
    "small": LeastEffect(0.2, 0.1),
    "medium": LeastEffect(0.5, 0.3),
    "large": LeastEffect(0.8, 0.5),
}


class DriftSettings(Settings):
    """What a drift is.

    ``retrain_when``: of a run, ``drifted`` ends it, as succeeded, where the images that the champion was not trained on
    have not drifted. ``significance``: how often all tests together may call images drifted that are not.
    ``least_effect``: what else a difference must be, in Cohen's words; so a million images make no drift of a trifle.
    ``images``: at most so many are drawn at random.
    """

    retrain_when: Literal["always", "drifted"] = "always"
    significance: Annotated[float, Field(ge=0.001, le=0.1)] = 0.01
    least_effect: EffectSize = "small"
    images: Annotated[int, Field(ge=100, le=5000)] = 2000
