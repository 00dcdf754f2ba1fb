"""Thresholds of the checks, and what they found."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt

from sanefit.components.foundation.schemas.bases import Artifact, PositiveFinite, Settings, Share

CheckName = Literal[
    "labels",
    "splits_apart",
    "splits_alike",
    "inputs_normalized",
    "raw_scores",
    "neurons_differ",
    "activations_between",
    "signals",
    "modes",
    "first_loss",
    "regularization",
    "gradient_step",
    "overfit",
    "learning_rates",
    "weight_decays",
    "searched_choices",
    "carries_over",
    "shortcuts",
]
Verdict = Literal["pass", "warn", "fail", "skip", "unknown"]


def _in_one_order(names: tuple[CheckName, ...]) -> tuple[CheckName, ...]:
    """Each name once, so that equal choices are equal settings."""
    return tuple(sorted(set(names)))


class CheckSettings(Settings):
    """Thresholds of the checks before the search, and which to skip; a skipped check is said and shown.

    ``first_loss_warn``, ``first_loss_fail``: largest distance from the expected first loss, as a share of it.
    ``overfit_loss``, ``overfit_epochs``: what 20 samples must reach, and in how many full-batch steps.
    ``saturated_share``, ``dead_share``: of a layer's values or neurons, from which on it is called so.
    ``minutes``: after these no check is begun, and what is not known then is unknown; None: as long as it takes.
    """

    skip: Annotated[tuple[CheckName, ...], AfterValidator(_in_one_order)] = ()
    first_loss_warn: PositiveFinite = 0.2  # torch's own initial weights reach 0.11 in a sound ResNet-18
    first_loss_fail: PositiveFinite = 0.5
    overfit_loss: PositiveFinite = 0.01  # the lecture's
    overfit_epochs: PositiveInt = 200  # the lecture's
    saturated_share: Share = 0.5
    dead_share: Share = 0.5
    minutes: PositiveFinite | None = None


class GateResult(Artifact):
    """One sanity check: the number seen, the number expected, where that comes from, the fix.

    ``name`` is its name in the configuration, ``row`` its row in the lecture's ledger.
    """

    name: CheckName
    row: str
    title: str
    verdict: Verdict
    measured: str
    expected: str
    reason: str
    fix: str = ""


class ProbedRate(Artifact):
    """One learning rate of the probe; the losses are mean cross-entropies of a fixed batch."""

    learning_rate: float
    verdict: Literal["too_low", "good", "too_high", "exploded"]
    first_loss: float | None
    last_loss: float | None
    evidence: str


class LayerSignal(Artifact):
    """What one layer gives out, and the gradient that comes back to it, over a batch of training images.

    ``std``, ``gradient_std``: over images, neurons and positions. ``saturated``: share of values
    near a bound of sigmoid or tanh. ``dead``: share of ReLU neurons that are 0 for every image.
    ``histogram``: counts in equal bins from ``low`` to ``high``. ``update_ratio``: length of a step at
    the recommended learning rate over length of the weights before the layer.
    """

    layer: str
    kind: str
    mean: float | None
    std: float | None
    gradient_std: float | None
    saturated: float | None
    dead: float | None
    low: float
    high: float
    histogram: list[int]
    update_ratio: float | None
    verdict: Literal["healthy", "collapsing", "saturating", "exploding", "dying", "vanishing"]
    evidence: str


class CheckReport(Artifact):
    """The gates' verdicts, the layers' signals, and the learning rates worth searching.

    ``out_of_time``: whether ``checks.minutes`` were over by its end, so that more may be known another time.
    """

    gates: list[GateResult]
    layers: list[LayerSignal] = Field(default=[])
    probe: list[ProbedRate]
    learning_rate_band: tuple[float, float] | None
    recommended_learning_rate: float | None = None
    out_of_time: bool = False

    @property
    def failures(self) -> list[GateResult]:
        """The gates that failed, in order."""
        return [gate for gate in self.gates if gate.verdict == "fail"]
