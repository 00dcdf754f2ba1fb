"""Before a version takes an alias: both of its models answer in a fresh process as the one that was tested."""

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.image_dataset.shards import SplitImages
from sanefit.components.foundation.tracking.fresh_process import answers_in_fresh_process

IMAGES = 32
TOLERANCE = 1e-4  # of a probability; a process of its own may have other threads, which round otherwise


def verify(
    tracking_uri: str,
    model_uri: str,
    files_model_uri: str,
    test: SplitImages,
    probabilities: NDArray[np.float32],
) -> None:
    """Raise RunFailedError unless both models give these probabilities for the first images of the test split.

    Args:
        tracking_uri: of MLflow.
        model_uri, files_model_uri: of the version.
        test: the split.
        probabilities: float32 (images, classes), what the tested model gave.
    """
    images = test.read(np.arange(min(IMAGES, len(test))))
    expected = probabilities[: len(images)].astype(np.float64)
    found = answers_in_fresh_process(tracking_uri, model_uri, files_model_uri, images)
    for uri, answers in zip((model_uri, files_model_uri), found, strict=True):
        apart = float(np.abs(answers - expected).max())
        if not apart <= TOLERANCE:
            raise RunFailedError(
                f"{uri} answers otherwise in a process of its own: probabilities up to {apart:.1e} apart; expected at "
                f"most {TOLERANCE:g}; the version keeps no alias"
            )


def near_ties(probabilities: NDArray[np.float32], within: float) -> int:
    """How many images have a second class so nearly as probable as the first that rounding may turn their answers.

    Args:
        probabilities: float32 (images, classes).
        within: from here on the two are too far apart.
    """
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return int((first - second < within).sum())
