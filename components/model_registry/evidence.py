"""What is kept with a version's run as evidence: the tables behind its scores, its worst mistakes, and its data."""

import csv
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sanefit.components.foundation.diagnosis.calibration import BINS
from sanefit.components.foundation.image_dataset.png import as_png
from sanefit.components.foundation.image_dataset.shards import SplitImages
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.tracking.attached_files import attach_folder
from sanefit.components.foundation.tracking.connection import Client
from sanefit.components.foundation.tracking.runs import log_summary
from sanefit.components.model_registry.class_scores import class_scores

FOLDER = "evaluation"
MISTAKES = 24
Row = Sequence[object]


@dataclass(frozen=True)
class TestScores:
    """A version's answers for the test split: ``probabilities``, float32 (images, classes), in the split's order."""

    images: SplitImages
    class_names: Sequence[str]
    probabilities: NDArray[np.float32]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class: int64 (images,)."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether that is the true one: bool (images,)."""
        found: NDArray[np.bool_] = self.predicted == self.images.labels
        return found

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Counts (classes, classes): row i, column j holds images of class i that were called j."""
        classes = len(self.class_names)
        counts = np.bincount(self.images.labels * classes + self.predicted, minlength=classes**2)
        return counts.reshape(classes, classes)


def keep_evidence(tracking: Client, run: RunReference, scores: TestScores, now: float) -> None:
    """Write the means over classes as metrics, and ``evaluation/`` among the run's files.

    In there: ``classes.csv``, precision, recall and F1 of each; ``confusion.csv``, every pair of classes that was
    confused, or rightly told; ``reliability.csv``, of each bin of confidence the share of right answers;
    ``mistakes.csv``, the wrong answers that were given with most confidence, and their pictures.

    Args:
        tracking: a client.
        run: of the version.
        scores: on the test split.
        now: epoch seconds.
    """
    present = np.bincount(scores.images.labels, minlength=len(scores.class_names)) > 0
    precision, recall, f1 = class_scores(scores.confusion)
    means = {"test_precision": precision, "test_recall": recall, "test_f1": f1}
    log_summary(
        tracking, run.tracking_run_id, {name: float(value[present].mean()) for name, value in means.items()}, now
    )
    with tempfile.TemporaryDirectory(prefix="sanefit-") as temporary:
        folder = Path(temporary)
        _write(folder / "classes.csv", ("class", "images", "precision", "recall", "f1"), _classes(scores))
        _write(folder / "confusion.csv", ("class", "called", "images"), _confused(scores))
        _write(folder / "reliability.csv", ("above", "up_to", "images", "confidence", "accuracy"), reliability(scores))
        _write(folder / "mistakes.csv", ("image", "class", "called", "probability"), _mistakes(scores, folder))
        attach_folder(tracking, run.tracking_run_id, folder, FOLDER)


def reliability(scores: TestScores) -> list[Row]:
    """Of each of 15 equal bins of confidence that has images: bounds, images, mean confidence, share of right ones."""
    confidence = scores.probabilities.max(axis=1).astype(np.float64)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return [
        (number / BINS, (number + 1) / BINS, int(inside.sum()), confidence[inside].mean(), scores.right[inside].mean())
        for number in range(BINS)
        if (inside := bins == number).any()
    ]


def _classes(scores: TestScores) -> list[Row]:
    images, of_classes = scores.confusion.sum(axis=1), class_scores(scores.confusion)
    return list(zip(scores.class_names, images.tolist(), *(values.tolist() for values in of_classes), strict=True))


def _confused(scores: TestScores) -> list[Row]:
    names, counts = scores.class_names, scores.confusion
    return [(names[true], names[called], int(counts[true, called])) for true, called in np.argwhere(counts).tolist()]


def _mistakes(scores: TestScores, folder: Path) -> Iterable[Row]:
    """A row for each, whose picture is written meanwhile; ``image``: its number in the test split."""
    wrong = np.flatnonzero(~scores.right)
    confidence = scores.probabilities.max(axis=1)
    for place, number in enumerate(wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES].tolist(), start=1):
        pixels = scores.images.read(np.array([number]))[0]
        (folder / f"mistake-{place:02d}.png").write_bytes(as_png(pixels))
        names = scores.class_names
        yield (
            number,
            names[scores.images.labels[number]],
            names[scores.predicted[number]],
            float(confidence[number]),
        )


def _write(path: Path, header: Row, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as opened:
        table = csv.writer(opened)
        table.writerow(header)
        table.writerows(rows)
