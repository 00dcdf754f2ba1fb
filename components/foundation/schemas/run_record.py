"""What a run says of itself while it goes on: its steps, how far its packs are, and what it registered."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from sanefit.components.foundation.schemas.bases import Artifact, OneLine
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.search import Stage
from sanefit.components.foundation.schemas.training import Metric

StepState = Literal["running", "succeeded", "failed"]


class StepRecord(Artifact):
    """A step, as its last try is or was.

    ``started``, ``ended``: of its own computing, epoch seconds. ``said``: the last line of it that was kept.
    ``reason``: why it failed. ``peak_memory``: the most that its processes were seen to use at once, bytes; ``cores``:
    used on average; both 0 where they were not looked at. ``gpus``: that it held;
    ``gpu_utilization``: the part of the time in which they computed, None where nobody looked.
    """

    step: str
    state: StepState
    started: float
    ended: float | None = None
    said: OneLine = ""
    reason: OneLine = ""
    peak_memory: NonNegativeInt = 0
    cores: Annotated[float, Field(ge=0)] = 0.0
    gpus: NonNegativeInt = 0
    gpu_utilization: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def gpu_hours(self) -> float:
        """That its last try has held, GPUs times hours; 0 while it runs."""
        return 0.0 if self.ended is None else self.gpus * (self.ended - self.started) / 3600


class PackProgress(Artifact):
    """How far a pack of the search has come.

    ``pack`` counts from 0. ``trials``: of this pack; ``trials_in_stage``: of all packs. ``ended``: how many of its
    trials have, whatever became of them. ``best_score``: the highest, as ``training/score.py`` makes it of ``metric``;
    None before a trial ended well. ``written``: epoch seconds. ``seconds_left``: from then on, at the pace so far; None
    where that tells nothing.
    """

    stage: Stage
    pack: NonNegativeInt
    packs: PositiveInt
    trials: NonNegativeInt
    trials_in_stage: NonNegativeInt
    ended: NonNegativeInt
    metric: Metric
    best_score: float | None
    written: float
    seconds_left: Annotated[float, Field(ge=0)] | None = None

    @property
    def step(self) -> str:
        """What the pack's lines begin with."""
        return f"{self.stage} pack {self.pack + 1}"


class RunRecord(Artifact):
    """All that a run has said, in no order; ``failure``: why it was closed as failed, empty where it was not."""

    steps: list[StepRecord] = Field(default=[])
    packs: list[PackProgress] = Field(default=[])
    registration: Registration | None = None
    failure: str = ""

    @property
    def gpu_hours(self) -> float:
        """That the last tries of its steps have held, ended ones alone."""
        return sum(step.gpu_hours for step in self.steps)

    @property
    def gpu_utilization(self) -> float | None:
        """The part of these GPU-hours in which a kernel ran, of the steps in which it was looked at; None of none."""
        looked_at = [(step.gpu_utilization, step.gpu_hours) for step in self.steps if step.gpu_utilization is not None]
        hours = sum(held for _, held in looked_at)
        return sum(busy * held for busy, held in looked_at) / hours if hours else None
