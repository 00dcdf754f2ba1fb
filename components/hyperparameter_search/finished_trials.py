"""Which trials count as finished, and which of two is better."""

from collections.abc import Iterable

from sanefit.components.foundation.schemas.search import TrialResult


def best_first(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that were trained with a finite loss, the best first; of equals, the first.

    Those that successive halving stopped rank below those that went on, whatever their accuracy, which
    was measured earlier in training. Trials that diverged, ran out of memory or raised are left out.
    """
    finished = [result for result in results if result.status in ("ok", "stopped")]
    return sorted(
        finished, key=lambda result: (result.status == "ok", worth(result), -result.spec.number), reverse=True
    )


def worth(result: TrialResult) -> float:
    """One number that orders trials: first by the epochs that they were trained for, then by validation accuracy.

    Twice the epochs plus the accuracy, which is at most 1; a trial that could not be trained is worth 0.
    """
    if result.status not in ("ok", "stopped"):
        return 0.0
    return 2 * len(result.epochs) + result.validation_accuracy
