"""Schemas of the configuration sections that say how networks are trained: optimizer, search, final training."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, field_validator

from components.foundation.settings import Dropout, Init, LogRange, Settings, increasing

OptimizerKind = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine"]
Augmentation = Literal["none", "flip", "crop", "flip_crop"]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Warmup = Annotated[float, Field(ge=0, le=0.5)]
BatchSize = Annotated[int, Field(ge=4)]


class OptimizerSettings(Settings):
    """How a network is trained; shared by the checks, the search and the final training.

    ``momentum``: of SGD; for Adam and AdamW the decay of the gradient's average (beta 1). ``warmup``: share of the
    steps during which the rate rises in a straight line from 0. ``augmentation``: of each batch, ``flip`` left to
    right, ``crop`` at random after 4 pixels of border (1 of images below 16 pixels), or both.

    The search trains under the final training's schedule, so that it ranks settings under the
    conditions that they will meet.
    """

    kind: OptimizerKind = "sgd"
    batch_size: BatchSize = 128
    momentum: Momentum = 0.9
    schedule: Schedule = "cosine"
    warmup: Warmup = 0.0
    augmentation: Augmentation = "none"


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


class FinalTrainingSettings(Settings):
    """Training of the best setting.

    ``label_smoothing``: share of each label that is spread over all classes. ``weight_averaging``: decay per step of an
    exponential average of the weights, which is what is kept then; 0 is off. ``patience``: stop after so many epochs
    without a better validation accuracy; None never does. ``mixed_precision``: bfloat16 on a GPU that has it.
    ``ensemble``: how many of the best settings are trained; above 1 the model is the mean of their probabilities.
    """

    epochs: PositiveInt = 50
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: PositiveInt | None = None
    mixed_precision: bool = True
    ensemble: Annotated[int, Field(ge=1, le=10)] = 1
