"""One member of the final model, trained from its first epoch, or a checkpoint, to its last."""

import functools

from sanefit.components.final_training.checkpoint import Checkpoint, MemberProgress, place_of
from sanefit.components.foundation.classifiers.classifier import Classifier
from sanefit.components.foundation.image_dataset.batches import WHOLE, BatchPart
from sanefit.components.foundation.machine.arithmetic import CPU_ARITHMETIC, Arithmetic
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.training import EpochRecord, Metric
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.loop.epoch_records import is_diverged
from sanefit.components.foundation.training.loop.loss import smoothed_cross_entropy
from sanefit.components.foundation.training.loop.recipe import Recipe
from sanefit.components.foundation.training.loop.training import Training
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_options import TrainingOptions
from sanefit.components.foundation.training.loop.training_state import copies
from sanefit.components.foundation.training.score import score


def train_member(
    classifier: Classifier,
    data: TrainingData,
    recipe: Recipe,
    final: FinalTrainingSettings,
    checkpoint: Checkpoint,
    *,
    say: Say,
    arithmetic: Arithmetic = CPU_ARITHMETIC,
    part: BatchPart = WHOLE,
) -> MemberProgress:
    """Train in place, remembering the epoch that is best on the validation split.

    Args:
        classifier, data, recipe, part: as for ``Training``.
        final: what else, and for how long.
        checkpoint: where to go on, and to keep what is done.
        say: prints a line.
        arithmetic: of the training; it is in force.

    Returns:
        All records and the best epoch's weights.

    Raises:
        StoppedError: when the process is told to end.
    """
    progress = checkpoint.read() or MemberProgress([], 0, {}, None)
    if progress.state is None and progress.records:
        say(f"finished before, after {len(progress.records)} epochs")
        return progress
    if progress.state is not None:
        say(f"goes on {place_of(progress)} of a training that was interrupted")
    options = TrainingOptions(
        loss=smoothed_cross_entropy(final.label_smoothing),
        weight_averaging=final.weight_averaging,
        arithmetic=arithmetic,
    )
    training = Training(classifier, data, recipe, options, part, progress.state)
    for epoch in range(training.epochs + 1, recipe.epochs + 1):
        record = training.train_epoch(epoch, functools.partial(checkpoint.offer, progress, training.state))
        say(epoch_line(record, recipe.epochs))
        progress = _with_epoch(progress, record, training, recipe.kept_by)
        if is_diverged(record) or _is_out_of_patience(progress, final.patience, say):
            break
        if epoch < recipe.epochs:
            checkpoint.offer(progress, training.state)
    checkpoint.write(progress)
    return progress


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """The lecture's line about an epoch, in the names of its record."""
    return (
        f"Finished epoch {record.epoch} / {epochs}: train_loss: {_number(record.train_loss)}, "
        f"train_accuracy: {record.train_accuracy:.6f}, validation_accuracy: {record.validation_accuracy:.6f}, "
        f"learning_rate: {record.learning_rate:.6e}"
    )


def _with_epoch(progress: MemberProgress, record: EpochRecord, training: Training, kept_by: Metric) -> MemberProgress:
    records = [*progress.records, record]
    if is_diverged(record) or (progress.best and _quality(record, kept_by) <= _quality(progress.best, kept_by)):
        return MemberProgress(records, progress.best_epoch, progress.best_weights, None)
    kept = training.kept.get_submodule("network").state_dict()
    return MemberProgress(records, record.epoch, copies(kept), None)


def _is_out_of_patience(progress: MemberProgress, patience: int | None, say: Say) -> bool:
    waited = len(progress.records) - progress.best_epoch
    if patience is None or waited < patience:
        return False
    say(f"stopped after epoch {len(progress.records)}: epoch {progress.best_epoch} is the best for {waited} epochs")
    return True


def _quality(record: EpochRecord, kept_by: Metric) -> tuple[float, float]:
    """The score; of equals the lower loss is better."""
    assert record.validation_loss is not None
    return score(record, kept_by), -record.validation_loss


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.6f}"
