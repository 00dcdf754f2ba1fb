"""When a new version becomes champion, and how it compares with the one before."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from sanefit.components.foundation.schemas.bases import Artifact, Settings
from sanefit.components.foundation.schemas.recipients import require_recipient

PromotionMode = Literal["if_better", "if_not_worse", "always", "never"]
RegistryMetric = Annotated[str, StringConstraints(pattern=r"^(accuracy|balanced_accuracy|recall\..+)$")]
PER_CLASS = ("recall", "precision", "f1")
WORN_OUT = 20  # looks at a test split; from there on a version must be far better
AT_MOST = frozenset({"calibration_error"})  # lower is better


def _is_measured(name: str) -> str:
    kind, dot, class_name = name.partition(".")
    if name in ("accuracy", "balanced_accuracy", *AT_MOST) or (kind in PER_CLASS and dot and class_name):
        return name
    raise ValueError(
        "expected accuracy, balanced_accuracy, calibration_error, or recall., precision. or f1. and a class"
    )


Measured = Annotated[str, AfterValidator(_is_measured)]


class Comparison(Artifact):
    """Two models on the same images.

    ``metric``: what is compared; ``new``, ``old``: its values. ``images``: how many count. ``wins``: images that the
    new model alone has right; ``losses``: those that the old one alone has. ``p_value``: how often chance gives a gain
    like this, or a larger one, when the new model is better by no more than the least gain asked for.
    """

    metric: str
    new: float
    old: float
    images: int
    wins: int
    losses: int
    p_value: float

    @property
    def gain(self) -> float:
        """By how much the new model is better, as measured."""
        return self.new - self.old


class RegistrySettings(Settings):
    """When a new version becomes champion.

    ``promotion``: ``if_better``, when a paired test on the test split says so; ``if_not_worse``, when it is at least as
    good as measured; ``always``; ``never``. Whatever it says, a version that is not better than to name the largest
    class never does. ``metric``: what is compared. ``min_gain``: by how much the new version is to be better.
    ``confidence``: that none of all the versions which one test split judges takes over without being better.
    ``require``: the least value of a metric on the test split, by its name; of ``calibration_error`` the most.
    ``reject_below``: an answer of a lower probability is ``unsure``. ``approval``: ``manual`` leaves it to ``sanefit
    registry promote``. ``notify_url``: is sent JSON when a version becomes champion and when a run fails; ``env:NAME``
    is read only then, and stands in no parameter and no log. ``notify_command``: a program and its arguments, instead;
    it gets the JSON on its standard input. ``onnx``: keep the version as an ONNX file, too.
    """

    promotion: PromotionMode = "if_better"
    metric: RegistryMetric = "accuracy"
    min_gain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    require: dict[Measured, Annotated[float, Field(ge=0, le=1)]] = Field(default={})
    reject_below: Annotated[float, Field(ge=0, lt=1)] = 0.0
    approval: Literal["automatic", "manual"] = "automatic"
    onnx: bool = False
    notify_url: str | None = None
    notify_command: tuple[str, ...] | None = None

    # Of the whole section, and before its values are looked at: a message about one of them would show it.
    @model_validator(mode="before")
    @classmethod
    def _somebody_can_be_told(cls, values: object) -> object:
        if isinstance(values, dict):
            require_recipient(values.get("notify_url"), values.get("notify_command"))
        return values
