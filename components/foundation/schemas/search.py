"""How hyperparameters are searched: plans, trials, rankings."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from sanefit.components.foundation.schemas.bases import Artifact, LogRange, OneLine, Settings
from sanefit.components.foundation.schemas.searchable import (
    SEARCHABLE,
    VALUES,
    Searchable,
    Section,
    Value,
    one_or_none,
    range_or_choices,
    with_values,
)
from sanefit.components.foundation.schemas.training import EpochRecord, Metric


@with_values(range_or_choices)
class CoarseSettings(Settings):
    """The coarse stage: how many trials, how long, and where it searches.

    Rate and weight decay are searched between two bounds in the logarithm; without a learning-rate range the probe's
    band is searched. Each further value of ``schemas/searchable.py`` is searched where it is given, between two bounds
    or among the values listed; else it stays as ``optimizer`` and ``network`` say. ``width``: of the network's first
    hidden layer or block; the others keep their proportion to it. ``depth``: hidden layers, blocks, or blocks in each
    stage of a ``resnet``.
    """

    trials: PositiveInt = 100
    epochs: PositiveInt = 5
    learning_rate: LogRange | None = None
    weight_decay: LogRange = (1e-6, 1e-1)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Bounds of the further values that are searched between two, by name."""
        return {value.name: bounds for value, bounds in self._given() if value.scale != "choice"}

    @property
    def choices(self) -> dict[str, list[Value]]:
        """What the further values may be that are searched among some, by name."""
        return {value.name: list(choices) for value, choices in self._given() if value.scale == "choice"}

    def _given(self) -> list[tuple[Searchable, Any]]:
        return [(value, given) for value in VALUES if (given := getattr(self, value.name))]


class FineSettings(Settings):
    """The fine stage; its ranges come from the coarse results."""

    trials: PositiveInt = 50
    epochs: PositiveInt = 10


Engine = Literal["fastest", "stacked", "vmapped", "loop"]
Stage = Literal["coarse", "fine"]


class SearchSettings(Settings):
    """Both stages, and how their trials are drawn, trained and dealt into packs.

    ``method``: how values are drawn; ``tpe`` draws the next from the results so far, of its own pack. ``folds``: above
    1, each trial is trained that many times, each time validated on another part of the training split, and the
    validation split is left to the final training; ``auto``: 5, where the validation split is too small.
    ``reduction_factor``: above 1, successive halving: after 1, ``reduction_factor``, ``reduction_factor``², ... epochs
    only the best one in so many of a pack's trials goes on. ``metric``: of the validation split, what trials are
    ranked by, and which epoch the final training keeps. ``engine``: how a pack trains its trials; ``fastest``
    measures. ``networks_at_once``: 0 leaves it to the measurement and to the memory that is free.
    """

    method: Literal["random", "grid", "quasi_random", "tpe"] = "random"
    packs: PositiveInt = 2
    folds: Literal["auto"] | Annotated[int, Field(ge=1, le=20)] = "auto"
    reduction_factor: Annotated[int, Field(ge=1, le=10)] = 1
    metric: Metric = "accuracy"
    engine: Engine = "fastest"
    networks_at_once: Annotated[int, Field(ge=0)] = 0
    coarse: CoarseSettings = CoarseSettings()
    fine: FineSettings = FineSettings()

    @model_validator(mode="after")
    def _settings_fit_each_other(self) -> "SearchSettings":
        if self.engine == "loop" and self.networks_at_once > 1:
            raise ValueError(
                f"search.networks_at_once={self.networks_at_once}: search.engine=loop trains one network after "
                "another; remove it, or choose another engine"
            )
        combinations = math.prod(len(choices) for choices in self.coarse.choices.values())
        for stage, trials in (("coarse", self.coarse.trials), ("fine", self.fine.trials)):
            if self.method == "grid" and combinations > trials:
                raise ValueError(
                    f"search.method=grid: the choices listed in search.coarse make {combinations} combinations, more "
                    f"than search.{stage}.trials={trials}; raise it, or list fewer choices"
                )
        if self.reduction_factor > 1 and max(self.coarse.epochs, self.fine.epochs) == 1:
            raise ValueError(
                f"search.reduction_factor={self.reduction_factor}: trials of 1 epoch cannot be stopped early; raise "
                "search.coarse.epochs or search.fine.epochs, or set search.reduction_factor=1"
            )
        return self

    def packs_of(self, stage: Stage) -> int:
        """Packs among which the trials of a stage are dealt; one is without a trial where a grid has few points."""
        return min(self.packs, (self.coarse if stage == "coarse" else self.fine).trials)


TrialStatus = Literal["ok", "stopped", "diverged", "out_of_memory", "error"]


@with_values(one_or_none)
class TrialSetting(Artifact):
    """The searched values of one trial; None: as the configuration's ``optimizer`` and ``network`` say."""

    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]

    @property
    def searched(self) -> dict[str, Any]:
        """The values that are set, by name."""
        return self.model_dump(exclude_none=True)

    def of(self, section: Section) -> dict[str, Any]:
        """The further values that are set and belong to this section, by the name in ``search.coarse``."""
        return {name: value for name, value in self.further.items() if SEARCHABLE[name].section == section}

    @property
    def further(self) -> dict[str, Any]:
        """The values that are set beside learning rate and weight decay, by name."""
        return {name: value for name, value in self.searched.items() if name in SEARCHABLE}


class TrialSpec(Artifact):
    """One trial to train. ``number`` counts from 0 within its stage."""

    number: int
    setting: TrialSetting
    epochs: int
    seed: int


class SearchRange(Artifact):
    """Where each value is searched, why there, and how the trials were drawn.

    ``learning_rate`` and ``weight_decay``: bounds, searched in the logarithm; ``ranges``: bounds of further values;
    ``choices``: what the others may be. A value that is not named is not searched. ``metric``: what ranks trials.
    """

    learning_rate: tuple[float, float]
    weight_decay: tuple[float, float]
    ranges: dict[str, tuple[float, float]] = Field(default={})
    choices: dict[str, list[Value]] = Field(default={})
    reasons: list[str]
    metric: Metric = "accuracy"


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
    """The results of one pack, in the order in which they were trained; ``plan``: the text of its plan."""

    stage: Stage
    plan: str = ""
    search_range: SearchRange
    results: list[TrialResult]


TOO_NARROW = "too narrow"  # in a finding about a range


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
