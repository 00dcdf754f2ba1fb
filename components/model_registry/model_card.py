"""What a version's page in MLflow says: what it was made from, how good it is, where it errs."""

from collections.abc import Sequence

import numpy as np

from sanefit import __version__
from sanefit.components.foundation.identity.training_identity import torch_version
from sanefit.components.foundation.schemas.final_model import TrainedModel
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.model_registry.class_scores import class_scores

CLASSES, PAIRS = 30, 5  # at most, in the tables


def model_card(
    registration: Registration, inputs: TrainingInputs, trained: TrainedModel, run_name: str, calibration_error: float
) -> str:
    """Markdown.

    Args:
        registration: of the version.
        inputs: what it was made from.
        trained: how, and how good it is.
        run_name: of its run.
        calibration_error: on the test split.
    """
    name, test, class_names = registration.model_name, trained.test, inputs.manifest.class_names
    low, high = test.interval
    per_class = inputs.manifest.images_per_class
    of_splits = ", ".join(f"{sum(counts.values()):,} {split}" for split, counts in per_class.items())
    searched = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in trained.setting.searched.items()
    )
    networks = "" if len(trained.ensemble) < 2 else f" of {len(trained.ensemble)} networks"
    lines = [
        f"Image classifier of {len(class_names):,} classes, by sanefit run `{run_name}`; {registration.reason}.",
        "",
        f"- Test accuracy {trained.test_accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}) on "
        f"{trained.test_images:,} images that were never trained or chosen on; always the largest class "
        f"{test.majority_accuracy:.4f}; balanced {test.balanced_accuracy:.4f}; validation "
        f"{trained.validation_accuracy:.4f}",
        f"- Expected calibration error {calibration_error:.4f}",
        f"- Images: {of_splits}; fingerprint `{inputs.dataset.fingerprint[:16]}`",
        f"- Network `{inputs.network.kind}`{networks}, optimizer `{inputs.optimizer.kind}`; {searched}; epoch "
        f"{trained.best_epoch} of {len(trained.epochs)}; seed {inputs.seed}",
        f"- sanefit {__version__}, torch {torch_version()}",
        "",
        *(_tables(trained.confusion, class_names) if trained.confusion else ()),
        "```python",
        f'model = mlflow.pyfunc.load_model("{registration.model_uri}")  # uint8 pixels',
        f'files = mlflow.pyfunc.load_model("models:/{name}-files@{registration.alias}")  # a column "image" of files',
        "```",
    ]
    return "\n".join(lines)


def _tables(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> list[str]:
    return [*_per_class(confusion, class_names), "", *_confused(confusion, class_names)]


def _per_class(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> list[str]:
    counts = np.array(confusion, dtype=np.int64).reshape(len(class_names), len(class_names))
    precision, recall, f1 = class_scores(counts)
    images = counts.sum(axis=1)
    shown = np.argsort(f1, kind="stable")[:CLASSES]
    few = "" if len(class_names) <= CLASSES else f" (the {CLASSES} with the lowest F1 of {len(class_names):,})"
    return [
        f"| class{few} | images | precision | recall | F1 |",
        "|---|---|---|---|---|",
        *(
            f"| {class_names[label]} | {images[label]:,} | {precision[label]:.3f} | {recall[label]:.3f} | "
            f"{f1[label]:.3f} |"
            for label in sorted(shown.tolist())
        ),
    ]


def _confused(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> list[str]:
    counts = np.array(confusion, dtype=np.int64).reshape(len(class_names), len(class_names))
    np.fill_diagonal(counts, 0)
    worst = [divmod(int(place), len(class_names)) for place in np.argsort(-counts, axis=None, kind="stable")[:PAIRS]]
    said = [
        f"{class_names[true]} called {class_names[named]}: {counts[true, named]:,}"
        for true, named in worst
        if counts[true, named]
    ]
    return [f"Most confused: {'; '.join(said)}.", ""] if said else []
