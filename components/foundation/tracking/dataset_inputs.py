"""The data of a run as MLflow lists it: one data set for each split."""

import json
from collections.abc import Mapping

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from sanefit.components.foundation.tracking.connection import Client

ATTEMPTS = 5
DIGEST_LETTERS = 36  # as many as MLflow's column takes
CONTEXT_TAG = "mlflow.data.context"
CONTEXTS = {"train": "training", "validation": "validation", "test": "testing"}


def log_dataset_inputs(
    tracking: Client, run_id: str, *, source: str, fingerprint: str, images: Mapping[str, int], classes: int
) -> None:
    """Write what a run was made from; one that has its inputs keeps them as they are.

    Args:
        tracking: a client.
        run_id: the parent run.
        source: as the configuration names it.
        fingerprint: of the snapshot.
        images: how many each split has.
        classes: how many there are.
    """
    known = tracking.get_run(run_id).inputs
    if known and known.dataset_inputs:
        return
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{fingerprint[:16]}-{split}",
                digest=fingerprint[:DIGEST_LETTERS],
                source_type="sanefit",
                source=json.dumps({"source": source}),
                profile=json.dumps({"images": count, "classes": classes}),
            ),
            [InputTag(CONTEXT_TAG, CONTEXTS[split])],
        )
        for split, count in images.items()
    ]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            tracking.log_inputs(run_id, inputs)
            return
        except MlflowException:  # another run has just made the same data set in MLflow's tables
            if attempt == ATTEMPTS:
                raise
