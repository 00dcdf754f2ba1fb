"""Suspected label errors: a table beside the page, and the worst for the page itself.

The test split is not judged: it measures the model once, and who takes images out of it because the model contradicts
their labels raises what it measures.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sanefit.components.final_training.confident_learning import Batch, class_thresholds, judge_labels
from sanefit.components.final_training.held_out import CrossValidated, HeldOut, cross_validate
from sanefit.components.final_training.member_runs import MemberRuns, TrainedMember
from sanefit.components.final_training.members import Member
from sanefit.components.foundation.image_dataset.image_names import ImageNames, read_names
from sanefit.components.foundation.image_dataset.shards import BUNDLE, FILE, LABEL, ROW, read_index
from sanefit.components.foundation.schemas.images import SplitName
from sanefit.components.foundation.schemas.label_errors import LabelErrors, SuspectedLabel
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import SUSPECTED_LABELS
from sanefit.components.foundation.training.checkpoints.trained_model import joined
from sanefit.components.foundation.training.inputs import TrainingInputs
from sanefit.components.foundation.training.loop.training_data import TrainingData

COLUMNS = ("path", "label", "suggested", "score", "split")
SHOWN = 24


def find_label_errors(
    runs: MemberRuns,
    best: Member,
    members: Sequence[TrainedMember],
    temperature: float,
    inputs: TrainingInputs,
    uri: str,
) -> LabelErrors | None:
    """Judge the labels that ``final.label_errors`` says, and write a table of the suspects.

    Args:
        runs: as the final training's.
        best: the best setting, which is trained again without parts of the training split where those are judged.
        members: of the final model, which judges the validation split.
        temperature: of the final model.
        inputs: what was trained.
        uri: of the table.

    Returns:
        None when no label is to be judged, or the snapshot does not say what its images are called.

    Raises:
        StoppedError: when the process is told to end; checkpoints are kept.
        StorageError: when the table cannot be written.
    """
    wanted = runs.final.label_errors
    if wanted == "none":
        return None
    judged: list[SplitName] = ["train", "validation"] if wanted == "all" else ["validation"]
    names = {split: read_names(inputs.dataset, split) for split in judged}
    splits = {
        split: _Split(split, read_index(inputs.dataset, split, inputs.manifest), of_split)
        for split, of_split in names.items()
        if of_split is not None
    }
    if len(splits) < len(names):
        runs.say(
            "warning: labels are not judged: an earlier version took this snapshot, and did not keep what its images "
            "are called; run again"
        )
        return None
    crossed = CrossValidated([], [])
    if wanted == "all":
        crossed = cross_validate(runs, best, splits["train"].index[:, BUNDLE], inputs.seed)
    parts = [*crossed.parts, _by_final_model(members, runs.data(), temperature)]
    found = _written(parts, splits, inputs.manifest.class_names, uri)
    _say(found, runs.say)
    crossed.remove_checkpoints()
    return found


def _by_final_model(members: Sequence[TrainedMember], data: TrainingData, temperature: float) -> HeldOut:
    model = joined([member.classifier for member in members])
    numbers = torch.arange(len(data.validation_labels))
    return HeldOut("validation", numbers, model, data.validation_pixels, data.validation_labels, temperature)


def _written(
    parts: Sequence[HeldOut], splits: Mapping[SplitName, "_Split"], class_names: Sequence[str], uri: str
) -> LabelErrors:
    suspects = _suspects(parts, len(class_names))
    rows = [_suspected(splits[one.split], one, class_names) for one in suspects]
    content = _table(rows)
    object_store.write_bytes(uri, content)
    return LabelErrors(
        uri=uri,
        sha256=hashlib.sha256(content).hexdigest(),
        judged={split: sum(len(part.numbers) for part in parts if part.split == split) for split in splits},
        suspected={split: sum(one.split == split for one in suspects) for split in splits},
        worst=[_for_json(row) for row in rows[:SHOWN]],
    )


@dataclass(frozen=True)
class _Split:
    name: SplitName
    index: NDArray[np.int64]
    names: ImageNames


@dataclass(frozen=True)
class _Suspect:
    """``number``: of the image in its split; ``suggested``: a class."""

    split: SplitName
    number: int
    suggested: int
    score: float


def _suspects(parts: Sequence[HeldOut], classes: int) -> list[_Suspect]:
    """Of all parts together, the worst first."""

    def batches() -> Iterator[Batch]:
        return (batch for part in parts for batch in part.batches())

    found = judge_labels(batches(), class_thresholds(batches(), classes))
    labels = np.concatenate([part.labels.cpu()[part.numbers].numpy() for part in parts])
    numbers = np.concatenate([part.numbers.numpy() for part in parts])
    part_of = np.repeat(np.arange(len(parts)), [len(part.numbers) for part in parts])
    return [
        _Suspect(parts[part_of[one]].split, int(numbers[one]), int(found.named[one]), float(found.own[one]))
        for one in found.suspects(labels).tolist()
    ]


def _suspected(split: _Split, suspect: _Suspect, class_names: Sequence[str]) -> SuspectedLabel:
    row = split.index[suspect.number]
    return SuspectedLabel(
        path=split.names[suspect.number],
        class_name=class_names[row[LABEL]],
        suggested=class_names[suspect.suggested],
        score=suspect.score,
        split=split.name,
        place=(int(row[FILE]), int(row[ROW])),
    )


def _table(rows: Sequence[SuspectedLabel]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.path, row.class_name, row.suggested, f"{row.score:.3g}", row.split) for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _for_json(row: SuspectedLabel) -> SuspectedLabel:
    """A name that is not UTF-8, as it can be shown."""
    return row.model_copy(update={"path": row.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")})


def _say(found: LabelErrors, say: Say) -> None:
    judged = " and ".join(f"{count:,} {split} images" for split, count in found.judged.items())
    if not found.worst:
        say(f"no label is suspected to be wrong, of {judged}")
        return
    worst = found.worst[0]
    say(
        f"{found.count:,} suspected label errors among {judged}, first {worst.path}: labelled {worst.class_name!r}, "
        f"rather {worst.suggested!r}; look at {SUSPECTED_LABELS}, beside the page, before you take any "
        "out with data.exclude"
    )
