"""Schema of the JSON that says what is trained and what came of it: plans, trials, curves, rankings, the model."""

from typing import Annotated, Literal

from pydantic import Field

from components.foundation.artifacts import Artifact, OneLine
from components.foundation.settings import Dropout, Init
from components.foundation.training_settings import Augmentation, Engine, Momentum, OptimizerKind, Schedule, Warmup

TrialStatus = Literal["ok", "stopped", "diverged", "out_of_memory", "error"]
Stage = Literal["coarse", "fine"]
LinearName = Literal["momentum", "dropout", "warmup"]
ChoiceName = Literal["batch_size", "optimizer", "schedule", "augmentation", "init", "width", "depth"]


class TrialSetting(Artifact):
    """The searched values of one trial; None: as the configuration's ``optimizer`` and ``network`` say."""

    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    momentum: Momentum | None = None
    dropout: Dropout | None = None
    warmup: Warmup | None = None
    batch_size: int | None = None
    optimizer: OptimizerKind | None = None
    schedule: Schedule | None = None
    augmentation: Augmentation | None = None
    init: Init | None = None
    width: int | None = None
    depth: int | None = None

    @property
    def searched(self) -> dict[str, float | int | str]:
        """The values that are set, by name."""
        return self.model_dump(exclude_none=True)


class TrialSpec(Artifact):
    """One trial to train. ``number`` counts from 0 within its stage."""

    number: int
    setting: TrialSetting
    epochs: int
    seed: int


class SearchRange(Artifact):
    """Where each value is searched, why there, and how the trials were drawn.

    ``learning_rate`` and ``weight_decay``: bounds, searched in the logarithm; ``linear``: bounds of momentum, dropout
    and warm-up; ``choices``: what the other values may be. A value that is not named is not searched.
    """

    learning_rate: tuple[float, float]
    weight_decay: tuple[float, float]
    linear: dict[LinearName, tuple[float, float]] = Field(default={})
    choices: dict[ChoiceName, list[int | str]] = Field(default={})
    reasons: list[str]


class PackPlan(Artifact):
    """The trials that one process trains.

    ``to_draw``: how many more it draws itself, from what those before gave (``method=tpe``); their numbers go on from
    ``first_drawn`` in steps of ``packs``. ``folds``, ``reduction_factor``, ``engine``, ``networks_at_once``: as in
    ``SearchSettings``.
    """

    stage: Stage
    pack: int
    packs: int
    trials_in_stage: int
    search_range: SearchRange
    trials: list[TrialSpec]
    to_draw: int = 0
    first_drawn: int = 0
    folds: int = 1
    reduction_factor: int = 1
    engine: Engine = "fastest"
    networks_at_once: int = 0


class EpochRecord(Artifact):
    """Measurements after one epoch; ``train_loss`` includes the weight penalty."""

    epoch: int
    learning_rate: float
    train_loss: float | None
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float


class CurveDiagnosis(Artifact):
    """What a curve says in words, the numbers that say it, and what to change."""

    kind: Literal[
        "exploded",
        "rate_too_high",
        "rate_too_low",
        "plateau_then_fall",
        "overfitting",
        "underfitting",
        "rise",
        "too_short",
        "healthy",
    ]
    words: str
    evidence: str
    fix: str


class TrialResult(Artifact):
    """What became of one trial; ``validation_accuracy`` is the last epoch's, 0 without one.

    ``stopped``: successive halving let better trials go on. ``started``: seconds since the epoch; ``seconds``: from
    then to its end, side by side with the trials that it was trained with. ``fold_accuracies``: of the last epoch,
    when it was cross-validated; the epochs then hold means over the folds.
    """

    spec: TrialSpec
    status: TrialStatus
    validation_accuracy: float
    epochs: list[EpochRecord]
    started: float = 0.0
    seconds: float
    fold_accuracies: list[float] = Field(default=[])
    message: OneLine = ""


class PackResult(Artifact):
    """The results of one pack, in the order in which they were trained."""

    stage: Stage
    search_range: SearchRange
    results: list[TrialResult]


class Ranking(Artifact):
    """The outcome of one stage; ``pack_uris`` hold every trial with its curve.

    ``top``: settings of the best trials, the best first. ``importances``: share of each searched value in what sets the
    best third of the trials apart. ``range_findings``: for each searched range, whether it was wide enough, and the
    numbers.
    """

    stage: Stage
    search_range: SearchRange
    best: TrialSetting
    best_trial: int
    best_validation_accuracy: float
    top: list[TrialSetting] = Field(default=[])
    trials: int
    diverged: int
    stopped: int = 0
    importances: dict[str, float] = Field(default={})
    range_findings: list[str] = Field(default=[])
    pack_uris: list[str]


class TrainedModel(Artifact):
    """The final training's outcome.

    ``setting``: of the first member, whose ``epochs`` these are. ``ensemble``: the settings of all members, the first
    one's first, where there are several. ``confusion[i][j]`` counts test images of class i called j.
    """

    weights_uri: str
    setting: TrialSetting
    ensemble: list[TrialSetting] = Field(default=[])
    best_epoch: int
    epochs: list[EpochRecord]
    validation_accuracy: float
    test_accuracy: float
    test_loss: float
    test_images: int
    confusion: list[list[int]]

    @property
    def members(self) -> list[TrialSetting]:
        """The settings of all members, the first one's first."""
        return self.ensemble or [self.setting]
