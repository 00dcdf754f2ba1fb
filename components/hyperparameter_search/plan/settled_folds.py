"""Whether trials are cross-validated: by itself, where the validation split is too small to tell settings apart."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.image_dataset.shards import BUNDLE, LABEL
from sanefit.components.foundation.schemas.images import Manifest
from sanefit.components.foundation.schemas.search import SearchSettings
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.training.score import judged_class

TOO_WIDE = 10  # points, half of the 95 % interval
FOLDS = 5  # Kohavi, "A Study of Cross-Validation and Bootstrap" (1995): more gain little
Z = NormalDist().inv_cdf(0.975)


def settle_folds(search: SearchSettings, manifest: Manifest, train: NDArray[np.int64], say: Say) -> int:
    """Into how many folds the training split is cut; 1 for none.

    Args:
        search: says how many, or ``auto``: 5, where the 95 % interval of an accuracy on the validation split may be
            wider than ±10 points. Of ``recall.CLASS``, the images of that class count.
        manifest: of the snapshot.
        train: int64 (images, 5), the index of the training split.
        say: prints a line about what is done, and why.

    Raises:
        SettingsError: when the metric is the recall of a class that there is nothing to measure by.
    """
    judged = judged_class(search.metric, manifest.class_names)
    per_class = manifest.images_per_class["validation"]
    if judged is None:
        validation, counted, images = sum(per_class.values()), train, "images"
    else:
        name = manifest.class_names[judged]
        validation, counted, images = per_class[name], train[train[:, LABEL] == judged], f"images of class {name!r}"
    apart = len(np.unique(counted[:, BUNDLE]))
    few = half_interval(validation) > TOO_WIDE
    wanted = search.folds if search.folds != "auto" else FOLDS if few else 1
    folds = min(wanted, apart)
    if folds == 1 and validation == 0:
        raise SettingsError(
            f"search.metric={search.metric}: no validation {images}; expected at least 1, or 2 training images that "
            "could stand in; add images, or set search.metric=balanced_accuracy"
        )
    interval = f"with {validation:,} validation {images}, the 95 % interval is up to ±{half_interval(validation):.0f}"
    if folds < wanted and search.folds != "auto":
        say(f"warning: search.folds={wanted}, but only {apart:,} training {images} are independent of each other")
    if folds > 1 and search.folds == "auto":
        say(
            f"{interval} points, too wide to choose settings by: each trial is validated on {folds} parts of the "
            f"training split in turn (±{half_interval(len(counted)):.0f}); search.folds=1 turns this off"
        )
    elif folds == 1 and few:
        say(
            f"warning: {interval} points: settings closer than that are ranked by chance; add images, or set "
            f"search.folds={FOLDS}"
        )
    return folds


def half_interval(images: int) -> float:
    """Of a share among so many, at its widest, in points: a half, by the normal approximation."""
    return min(100.0, 100 * Z * 0.5 / math.sqrt(images)) if images else 100.0
