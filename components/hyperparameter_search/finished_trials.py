"""Which trials count as finished, and which of two is better."""

from collections.abc import Iterable

from sanefit.components.foundation.schemas.search import TrialResult
from sanefit.components.foundation.schemas.training import Metric
from sanefit.components.foundation.training.score import score


def best_first(results: Iterable[TrialResult], metric: Metric) -> list[TrialResult]:
    """The trials that were trained with a finite loss, the best first; of equals, the first.

    Those that successive halving stopped rank below those that went on, whatever their accuracy, which
    was measured earlier in training. Trials that diverged, ran out of memory or raised are left out.
    """
    finished = [result for result in results if result.status in ("ok", "stopped")]
    return sorted(
        finished, key=lambda result: (result.status == "ok", worth(result, metric), -result.spec.number), reverse=True
    )


def worth(result: TrialResult, metric: Metric) -> float:
    """One number that orders trials: first by the epochs that they were trained for, then by the metric.

    Twice the epochs plus the last one's score, which is at most 1; a trial that could not be trained is worth 0.
    """
    if result.status not in ("ok", "stopped"):
        return 0.0
    return 2 * len(result.epochs) + last_score(result, metric)


def last_score(result: TrialResult, metric: Metric) -> float:
    """After the last epoch; 0 without one."""
    if metric == "accuracy":
        return result.validation_accuracy  # of folds, the mean of theirs
    return score(result.epochs[-1], metric) if result.epochs else 0.0
