"""How far a pack has come, counted trial by trial."""

from dataclasses import dataclass, field

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.schemas.run_record import PackProgress
from sanefit.components.foundation.schemas.search import PackPlan, TrialResult
from sanefit.components.hyperparameter_search.finished_trials import last_score


@dataclass
class TrialCount:
    """The trials of a pack that have ended.

    ``began``: epoch seconds. ``trained``: those that did not come from the storage. ``best_score``: of one that ended
    well.
    """

    plan: PackPlan
    clock: Clock
    began: float = field(init=False)
    ended: int = 0
    trained: int = 0
    best_score: float | None = None

    def __post_init__(self) -> None:
        self.began = self.clock()

    def add(self, result: TrialResult) -> PackProgress:
        """Count a trial that has ended; how far the pack is now."""
        self.ended += 1
        self.trained += result.started >= self.began
        if result.status == "ok":
            score = last_score(result, self.plan.search_range.metric)
            self.best_score = score if self.best_score is None else max(self.best_score, score)
        return self.progress()

    def progress(self) -> PackProgress:
        """How far the pack is now."""
        now = self.clock()
        return PackProgress(
            stage=self.plan.stage,
            pack=self.plan.pack,
            packs=self.plan.packs,
            trials=self._trials,
            trials_in_stage=self.plan.trials_in_stage,
            ended=self.ended,
            metric=self.plan.search_range.metric,
            best_score=self.best_score,
            written=now,
            seconds_left=self._seconds_left(now),
        )

    @property
    def _trials(self) -> int:
        return len(self.plan.trials) + self.plan.to_draw

    def _seconds_left(self, now: float) -> float | None:
        """At the pace so far; with successive halving, the first trials to end are the short ones, and tell nothing."""
        left = self._trials - self.ended
        if left == 0:
            return 0.0
        if self.trained == 0 or self.plan.reduction_factor > 1:
            return None
        return left * max(0.0, now - self.began) / self.trained
