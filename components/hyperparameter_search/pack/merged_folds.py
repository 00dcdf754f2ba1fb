"""H3: one result of a trial that was cross-validated."""

from collections.abc import Sequence
from statistics import fmean

from sanefit.components.foundation.schemas.search import TrialResult, TrialSpec
from sanefit.components.foundation.schemas.training import EpochRecord


def merge_folds(spec: TrialSpec, results: Sequence[TrialResult]) -> TrialResult:
    """One result of a trial from those of its folds: curves are means; what failed in one fold failed.

    Args:
        spec: of the trial.
        results: of its folds, in their order; with one, that one.
    """
    if len(results) == 1:
        return results[0].model_copy(update={"spec": spec})
    failed = next((result for result in results if result.status != "ok"), None)
    epochs = [_mean(records) for records in zip(*(result.epochs for result in results), strict=False)]
    started = min(result.started for result in results)
    accuracies = [result.validation_accuracy for result in results]
    return TrialResult(
        spec=spec,
        status=failed.status if failed else "ok",
        validation_accuracy=fmean(accuracies),
        epochs=epochs,
        started=started,
        seconds=max(result.started + result.seconds for result in results) - started,
        fold_accuracies=accuracies,
        message=failed.message if failed else "",
    )


def _mean(records: Sequence[EpochRecord]) -> EpochRecord:
    losses = {
        name: None if None in (values := [getattr(record, name) for record in records]) else fmean(values)
        for name in ("train_loss", "validation_loss")
    }
    recalls = [record.validation_recall for record in records if record.validation_recall is not None]
    means = {
        name: fmean(getattr(record, name) for record in records)
        for name in ("learning_rate", "train_accuracy", "validation_accuracy", "validation_balanced_accuracy")
    }
    return EpochRecord.model_validate(
        {"epoch": records[0].epoch, **losses, **means, "validation_recall": fmean(recalls) if recalls else None}
    )
