"""H3: cross-validation on the training split."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sanefit.components.foundation.schemas.search import TrialResult, TrialSpec
from sanefit.components.foundation.schemas.training import EpochRecord
from sanefit.components.foundation.training.loop.training_data import TrainingData
from sanefit.components.foundation.training.loop.training_images import select


def assign_folds(labels: Tensor, bundles: NDArray[np.int64], folds: int, seed: int) -> Tensor:
    """Which fold each image of the training split is held out by: int64 (images,), from 0.

    What belongs together is in one fold. Where nothing does, the folds' sizes differ by at most one image, and so do
    the images of each class in them.

    Args:
        labels: int64 (images,).
        bundles: int64 (images,), equal for images that belong together.
        folds: at least 1.
        seed: of the assignment.
    """
    _, first, bundle_of = np.unique(bundles, return_index=True, return_inverse=True)
    chance = np.random.default_rng(seed).random(len(first))
    order = np.lexsort((chance, labels.cpu().numpy()[first]))
    fold_of_bundle = np.empty(len(first), dtype=np.int64)
    fold_of_bundle[order] = np.arange(len(first)) % folds
    return torch.from_numpy(fold_of_bundle[bundle_of])


def fold_data(data: TrainingData, fold_of: Tensor, fold: int | None) -> TrainingData:
    """The training split without one of its parts, and that part to validate on.

    Args:
        data: both splits; without a fold it is what is returned.
        fold_of: as ``assign_folds`` gives it.
        fold: from 0; None without cross-validation.
    """
    if fold is None:
        return data
    kept, tested = torch.nonzero(fold_of != fold).flatten(), torch.nonzero(fold_of == fold).flatten()
    features = data.train_features
    return TrainingData(
        select(data.train_pixels, kept),
        data.train_labels[kept],
        select(data.train_pixels, tested),
        data.train_labels[tested],
        None if features is None else features[kept],
        None if features is None else features[tested],
    )


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
