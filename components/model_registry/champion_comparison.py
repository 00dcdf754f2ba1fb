"""The present champion beside a new version: on today's test images that neither was trained or chosen on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.image_dataset.batch_size import images_at_once
from sanefit.components.foundation.image_dataset.shards import SplitImages
from sanefit.components.foundation.schemas.registry import Comparison, RegistrySettings
from sanefit.components.foundation.schemas.training import RECALL
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.models import model_metadata, predict
from sanefit.components.model_registry.image_digests import Digests, unseen
from sanefit.components.model_registry.paired_test import compare_balanced, compare_shares
from sanefit.components.model_registry.promotion import Champion
from sanefit.components.model_registry.seen_images import read_seen_images

PREDICTION_BATCH = 1000
SHOWN = 20  # values of a list in a sentence


@dataclass(frozen=True)
class TestAnswers:
    """What the new version says of the test split.

    ``digests``: of its images. ``right``: bool (images,), which of them it has right.
    """

    images: SplitImages
    digests: Digests
    class_names: Sequence[str]
    right: NDArray[np.bool_]


def compare_with_champion(
    tracking: Client,
    model_name: str,
    version: str | None,
    answers: TestAnswers,
    settings: RegistrySettings,
    say: Say,
) -> Champion | None:
    """The champion on the same images; whatever is wrong with it becomes an obstacle, never an exception.

    Args:
        tracking: a client.
        model_name: the registered model.
        version: the champion's; None without one.
        answers: of the new version.
        settings: the metric and the least gain.
        say: prints a line about images that are left out.
    """
    if version is None:
        return None
    try:
        return _compared(tracking, model_name, version, answers, settings, say)
    except Exception as error:  # hours of training lie behind the new version
        reason = " ".join(str(error).split()) or type(error).__name__
        return Champion(
            version,
            None,
            f"it cannot be loaded ({reason}); `sanefit registry promote {model_name} VERSION` replaces it",
        )


def probabilities_of(model_uri: str, images: SplitImages) -> NDArray[np.float32]:
    """A registered model's: float32 (images, classes)."""
    return predict(model_uri, images.batches(images_at_once(images.image_shape, PREDICTION_BATCH)))


def _compared(
    tracking: Client, model_name: str, version: str, answers: TestAnswers, settings: RegistrySettings, say: Say
) -> Champion:
    uri = f"models:/{model_name}/{version}"
    known = model_metadata(uri)
    wanted = {"class_names": answers.class_names, "image_shape": answers.images.image_shape}
    for key, value in wanted.items():
        if known.get(key) != list(value):
            return Champion(version, None, f"its {key} is {_shown(known.get(key))}, this run's is {_shown(value)}")
    seen = read_seen_images(tracking, model_name, version)
    if seen is None:
        say(f"warning: it is not on record which images version {version} was trained on; all test images are compared")
        fair = np.arange(len(answers.images))
    else:
        fair = np.flatnonzero(unseen(answers.digests, seen))
    left_out = len(answers.images) - len(fair)
    if left_out:
        say(
            f"{left_out:,} of {len(answers.images):,} test images are left out: version {version} was trained or "
            "chosen on them"
        )
    if not len(fair):
        return Champion(version, None, "it was trained or chosen on all of today's test images")
    images = answers.images.part(fair)
    old_right = probabilities_of(uri, images).argmax(axis=1) == images.labels
    return Champion(version, _test(images.labels, answers, fair, old_right, settings))


def _test(
    labels: NDArray[np.int64],
    answers: TestAnswers,
    fair: NDArray[np.int64],
    old_right: NDArray[np.bool_],
    settings: RegistrySettings,
) -> Comparison:
    new_right, metric = answers.right[fair], settings.metric
    if metric == "balanced_accuracy":
        return compare_balanced(labels, new_right, old_right, settings.min_gain, seed=0)
    if metric.startswith(RECALL):
        of_class = labels == list(answers.class_names).index(metric.removeprefix(RECALL))
        new_right, old_right = new_right[of_class], old_right[of_class]
    return compare_shares(metric, new_right, old_right, settings.min_gain)


def _shown(values: Sequence[object] | None) -> str:
    """A short list whole, a long one by its ends."""
    if values is None or len(values) <= SHOWN:
        return str(values and list(values))
    return f"{len(values):,} values from {values[0]!r} to {values[-1]!r}"
