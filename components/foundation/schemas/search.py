"""How hyperparameters are searched: plans, trials, rankings."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, field_validator

from sanefit.components.foundation.schemas.bases import Artifact, LogRange, OneLine, Settings, increasing
from sanefit.components.foundation.schemas.networks import Dropout, Init
from sanefit.components.foundation.schemas.training import (
    Augmentation,
    BatchSize,
    EpochRecord,
    Momentum,
    OptimizerKind,
    Schedule,
    Warmup,
)

MomentumRange = Annotated[tuple[Momentum, Momentum], AfterValidator(increasing)]
DropoutRange = Annotated[tuple[Dropout, Dropout], AfterValidator(increasing)]
WarmupRange = Annotated[tuple[Warmup, Warmup], AfterValidator(increasing)]


class CoarseSettings(Settings):
    """The coarse stage: how many trials, how long, and where it searches.

    Rate and weight decay are searched between two bounds in the logarithm; without a learning-rate range the probe's
    band is searched. Momentum, dropout and warm-up, when given, between two bounds in a straight line; the others, when
    given, among the values listed. What is not given stays as ``optimizer`` and ``network`` say. ``width``: of the
    network's first hidden layer or block; the others keep their proportion to it. ``depth``: hidden layers, blocks, or
    blocks in each stage of a ``resnet``.
    """

    trials: PositiveInt = 100
    epochs: PositiveInt = 5
    learning_rate: LogRange | None = None
    weight_decay: LogRange = (1e-6, 1e-1)
    momentum: MomentumRange | None = None
    dropout: DropoutRange | None = None
    warmup: WarmupRange | None = None
    batch_size: tuple[BatchSize, ...] = ()
    optimizer: tuple[OptimizerKind, ...] = ()
    schedule: tuple[Schedule, ...] = ()
    augmentation: tuple[Augmentation, ...] = ()
    init: tuple[Init, ...] = ()
    width: tuple[PositiveInt, ...] = ()
    depth: tuple[Annotated[int, Field(ge=1, le=100)], ...] = ()

    @field_validator("batch_size", "optimizer", "schedule", "augmentation", "init", "width", "depth")
    @classmethod
    def _each_once(cls, choices: tuple[int | str, ...]) -> tuple[int | str, ...]:
        twice = [choice for choice in choices if choices.count(choice) > 1]
        if twice:
            raise ValueError(f"expected each choice once, {twice[0]} is there {choices.count(twice[0])} times")
        return choices


class FineSettings(Settings):
    """The fine stage; its ranges come from the coarse results."""

    trials: PositiveInt = 50
    epochs: PositiveInt = 10


Engine = Literal["fastest", "stacked", "vmapped", "loop"]


class SearchSettings(Settings):
    """Both stages, and how their trials are drawn, trained and dealt into packs.

    ``method``: how values are drawn; ``tpe`` draws the next from the results so far, of its own pack. ``folds``: above
    1, each trial is trained that many times, each time validated on another part of the training split, and the
    validation split is left to the final training. ``reduction_factor``: above 1, successive halving: after 1,
    ``reduction_factor``, ``reduction_factor``², ... epochs only the best one in so many of a pack's trials goes on.
    ``engine``: how a pack trains its trials; ``fastest`` measures. ``networks_at_once``: 0 leaves it to the
    measurement and to the memory that is free.
    """

    method: Literal["random", "grid", "quasi_random", "tpe"] = "random"
    packs: PositiveInt = 2
    folds: Annotated[int, Field(ge=1, le=20)] = 1
    reduction_factor: Annotated[int, Field(ge=1, le=10)] = 1
    engine: Engine = "fastest"
    networks_at_once: Annotated[int, Field(ge=0)] = 0
    coarse: CoarseSettings = CoarseSettings()
    fine: FineSettings = FineSettings()


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
    """The outcome of one stage; ``packs``: texts of ``foundation/storage/packs.py``, for every trial with its curve.

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
    packs: list[str]
