"""Cross-validation on the training split: which part of it each network is trained without."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
