"""The conditions of ``registry.require`` on the test split."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.diagnosis.calibration import calibration_error
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.schemas.registry import AT_MOST, RegistrySettings
from sanefit.components.foundation.unsure import UNSURE
from sanefit.components.model_registry.class_scores import class_scores

SHOWN = 5


def require_known_classes(settings: RegistrySettings, class_names: Sequence[str]) -> None:
    """Raise SettingsError when the metric, or a condition, names a class that there is not, or one is ``unsure``."""
    if settings.reject_below and UNSURE in class_names:
        raise SettingsError(
            f"registry.reject_below={settings.reject_below:g}: the answer {UNSURE!r} is a class's name; expected no "
            "class of that name; rename it"
        )
    named = {"registry.metric": [settings.metric], "registry.require": list(settings.require)}
    for key, metrics in named.items():
        for metric in metrics:
            _, dot, name = metric.partition(".")
            if dot and name not in class_names:
                known = ", ".join(class_names[:SHOWN]) + (", …" if len(class_names) > SHOWN else "")
                raise SettingsError(f"{key}: {metric}: there is no class {name!r}; expected one of {known}; correct it")


def shortfalls(
    require: Mapping[str, float],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    class_names: Sequence[str],
) -> list[str]:
    """The conditions that are not met, in words.

    Args:
        require: the least value of each metric, of ``calibration_error`` the most.
        labels: int64 (images,).
        probabilities: float32 (images, classes).
        class_names: of the labels.
    """
    found = {metric: measure(metric, labels, probabilities, class_names) for metric in require}
    return [
        f"{metric} {found[metric]:.4f}, expected at {'most' if metric in AT_MOST else 'least'} {limit:g}"
        for metric, limit in require.items()
        if not (found[metric] <= limit if metric in AT_MOST else found[metric] >= limit)
    ]


def measure(
    metric: str, labels: NDArray[np.int64], probabilities: NDArray[np.float32], class_names: Sequence[str]
) -> float:
    """A metric of ``registry.require``; 0 of a class of which there is nothing to measure."""
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    if metric == "accuracy":
        return float(right.mean())
    if metric == "balanced_accuracy":
        return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
    if metric == "calibration_error":
        return calibration_error(right, probabilities.max(axis=1))
    kind, _, name = metric.partition(".")
    label = list(class_names).index(name)
    counts = np.bincount(labels * len(class_names) + predicted, minlength=len(class_names) ** 2)
    scores = class_scores(counts.reshape(len(class_names), -1))
    return float(getattr(scores, kind)[label])
