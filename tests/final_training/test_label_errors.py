"""Label errors planted in digits are found by models that did not see them, and written down."""

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from said import Said
from torch import Tensor
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.final_training import held_out
from sanefit.components.final_training.held_out import FOLDS, HeldOut, cross_validate
from sanefit.components.final_training.label_errors import SHOWN, find_label_errors
from sanefit.components.final_training.member_runs import MemberRuns, TrainedMember, Workers
from sanefit.components.final_training.members import Member
from sanefit.components.foundation.image_dataset.image_names import NAMES_FILE
from sanefit.components.foundation.image_dataset.shards import BUNDLE, images_at, read_index, snapshot_folder
from sanefit.components.foundation.image_dataset.sources.digits import list_images
from sanefit.components.foundation.image_dataset.sources.source_image import ListingRequest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.final_model import FinalTrainingSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.label_errors import LabelErrors
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.search import TrialSetting
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.schemas.training import OptimizerSettings
from sanefit.components.foundation.storage.layout import SUSPECTED_LABELS, RunFolder
from sanefit.components.foundation.training.loop.recipe import recipe_of
from sanefit.components.foundation.training.loop.training_data import read_training_data
from sanefit.components.foundation.training.stacks.trial import Problem, Trial

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

NETWORK = TwoLayerSettings(kind="two_layer", hidden=32)
OPTIMIZER = OptimizerSettings(batch_size=32, schedule="cosine")
EVERY = 36  # the one in so many scans that is labelled wrong


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetReference, dict[str, str]]:
    """Digits as files, 50 of them in the folder of the next digit; the true class of these, by their names."""
    root, wrong = tmp_path_factory.mktemp("digits"), {}
    for number, scan in enumerate(list_images(ListingRequest("", root)).images):
        label = scan.class_name
        if number % EVERY == 0:
            label = str((int(label) + 1) % 10)
            wrong[f"{label}/{number:04d}.png"] = scan.class_name
        (root / "images" / label).mkdir(parents=True, exist_ok=True)
        pixels = np.frombuffer(scan.location.read(), dtype=np.uint8).reshape(8, 8)
        Image.fromarray(pixels).save(root / "images" / label / f"{number:04d}.png")
    return take_snapshot(DataSettings(source=f"folder:{root / 'images'}"), str(root / "storage"), print), wrong


@pytest.fixture(scope="module")
def judged(planted: tuple[DatasetReference, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> "Judged":
    return Judged(planted[0], tmp_path_factory.mktemp("run"))


class Judged:
    """A final training of 30 epochs, and what it says of the labels."""

    def __init__(self, dataset: DatasetReference, folder: Path) -> None:
        self.stats = measure_channel_stats(dataset, StatsSettings(), print)
        self.inputs, self.said, self.folder = inputs_of(dataset, self.stats, NETWORK, OPTIMIZER), Said(), folder
        self.data = read_training_data(dataset)
        problem = Problem(self.inputs.manifest.image_shape, self.inputs.classes, self.stats)
        recipe = recipe_of(OPTIMIZER, learning_rate=0.05, weight_decay=1e-3, epochs=30, batch_seed=1, noise_seed=1)
        self.best = Member(TrialSetting(learning_rate=0.05, weight_decay=1e-3), Trial(NETWORK, recipe, 1))
        final = FinalTrainingSettings(epochs=30, label_errors="all")
        images = len(self.data.train_labels)
        self.runs = MemberRuns(dataset, images, problem, final, str(folder), Workers(), lambda: self.data, self.said)
        trained = self.runs.train(self.best)
        assert trained is not None
        self.members: Sequence[TrainedMember] = [trained]
        self.uri = RunFolder(str(folder)).suspected_labels

    def find(self, runs: MemberRuns | None = None) -> LabelErrors | None:
        return find_label_errors(runs or self.runs, self.best, self.members, 1.0, self.inputs, self.uri)

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(Path(self.uri).read_text())))


def test_most_of_the_planted_errors_are_suspected_first(
    judged: Judged, planted: tuple[DatasetReference, dict[str, str]]
) -> None:
    found, wrong = judged.find(), planted[1]
    assert found is not None
    rows = judged.rows()
    assert 25 <= found.count <= 100
    first = [row for row in rows[:50] if row["path"] in wrong]
    assert len(first) >= 30  # of 50, some of which are test images
    assert sum(row["suggested"] == wrong[row["path"]] for row in first) >= 0.9 * len(first)
    assert all(row["label"] == row["path"].split("/")[0] != row["suggested"] for row in rows)


def test_the_table_and_the_result_say_the_same(judged: Judged) -> None:
    found = judged.find()
    assert found is not None
    content, rows = Path(found.uri).read_bytes(), judged.rows()
    assert found.uri.endswith(SUSPECTED_LABELS)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert content.startswith(b"path,label,suggested,score,split\n")
    assert found.count == len(rows) == len({row["path"] for row in rows})
    assert found.suspected == {split: sum(row["split"] == split for row in rows) for split in ("train", "validation")}
    assert found.judged == {split: len(getattr(judged.data, f"{split}_labels")) for split in found.judged}
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    assert all(0 <= score < 1 for score in scores)
    assert [one.path for one in found.worst] == [row["path"] for row in rows[:SHOWN]]
    assert any(line.startswith(f"{found.count} suspected label errors among") for line in judged.said)


def test_the_places_are_those_of_the_pixels(judged: Judged) -> None:
    found = judged.find()
    assert found is not None
    index = np.array([(*one.place, 0) for one in found.worst], dtype=np.int64)
    pixels = images_at(judged.inputs.dataset, judged.inputs.manifest, index).read(np.arange(len(index)))
    source = Path(judged.inputs.dataset.storage).parent / "images"
    for one, picture in zip(found.worst, pixels, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(source / one.path)), picture[:, :, 0])


def test_the_same_seed_finds_the_same_and_leaves_no_checkpoint(judged: Judged) -> None:
    first = judged.find()
    before = Path(judged.uri).read_bytes()
    assert judged.find() == first
    assert Path(judged.uri).read_bytes() == before
    checkpoints = [str(path) for path in judged.folder.rglob("*.pt")]
    assert checkpoints == [judged.members[0].checkpoint_uri]


def test_validation_images_alone_cost_no_training(judged: Judged) -> None:
    judged.said.clear()
    found = judged.find(replace(judged.runs, final=FinalTrainingSettings(epochs=30)))
    assert found is not None
    assert found.judged.keys() == {"validation"}
    assert len(judged.said) == 1


def test_nothing_is_judged_where_nothing_is_wanted(judged: Judged) -> None:
    assert judged.find(replace(judged.runs, final=FinalTrainingSettings(label_errors="none"))) is None


def test_a_snapshot_of_an_earlier_version_has_no_names_and_that_is_said(judged: Judged) -> None:
    names = Path(snapshot_folder(judged.inputs.dataset), NAMES_FILE)
    names.rename(names.with_name("aside"))
    judged.said.clear()
    try:
        assert judged.find() is None
    finally:
        names.with_name("aside").rename(names)
    [line] = judged.said
    assert line.startswith("warning: labels are not judged: an earlier version")


def cross_validated(
    judged: Judged, monkeypatch: pytest.MonkeyPatch, bundles: np.ndarray
) -> list[tuple[HeldOut, Tensor]]:
    """The parts, each beside the pixels that its model was trained on."""
    seen: list[Tensor] = []
    original = MemberRuns.train

    def recording(runs: MemberRuns, member: Member) -> TrainedMember | None:
        seen.append(runs.data().train_pixels)  # type: ignore[arg-type]
        return original(runs, member)

    monkeypatch.setattr(MemberRuns, "train", recording)
    monkeypatch.setattr(held_out, "SHARE_OF_EPOCHS", 1 / 30)
    return list(zip(cross_validate(judged.runs, judged.best, bundles, 0).parts, seen, strict=True))


def test_every_training_image_is_judged_once_by_a_model_that_saw_neither_it_nor_what_belongs_to_it(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = read_index(judged.inputs.dataset, "train", judged.inputs.manifest)
    bundles = index[:, BUNDLE] // 4  # in fours
    parts = cross_validated(judged, monkeypatch, bundles)
    assert len(parts) == FOLDS
    numbers = torch.cat([part.numbers for part, _ in parts])
    assert sorted(numbers.tolist()) == list(range(len(index)))
    pixels = judged.data.train_pixels
    assert isinstance(pixels, Tensor)
    together = {bundle: pixels[bundles == bundle] for bundle in np.unique(bundles)}
    for part, seen in parts:
        known = {picture.numpy().tobytes() for picture in seen}
        for number in part.numbers.tolist():
            assert not any(picture.numpy().tobytes() in known for picture in together[bundles[number]])


def test_an_image_whose_class_no_other_part_has_is_not_judged(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = judged.data.train_labels.numpy()
    bundles = np.where(labels == 3, -1, np.arange(len(labels)))  # all threes are one bundle
    parts = cross_validated(judged, monkeypatch, bundles)
    numbers = torch.cat([part.numbers for part, _ in parts])
    assert sorted(numbers.tolist()) == np.flatnonzero(labels != 3).tolist()


def test_a_fold_that_diverges_is_said_and_left_out(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[..., TrainedMember | None] = MemberRuns.train
    monkeypatch.setattr(held_out, "SHARE_OF_EPOCHS", 1 / 30)
    monkeypatch.setattr(
        MemberRuns, "train", lambda runs, member: None if "fold 1" in runs.part else original(runs, member)
    )
    bundles = np.arange(len(judged.data.train_labels))
    judged.said.clear()
    assert len(cross_validate(judged.runs, judged.best, bundles, 0).parts) == FOLDS - 1
    assert any("fold 2 of 3: diverged in epoch 1; its labels are not judged" in line for line in judged.said)


def test_probabilities_come_in_batches_that_hold_each_image_once(judged: Judged) -> None:
    numbers = torch.arange(0, len(judged.data.train_labels), 3)
    model = judged.members[0].classifier
    part = HeldOut("train", numbers, model, judged.data.train_pixels, judged.data.train_labels, 2.0)
    labels, probabilities = (np.concatenate(each) for each in zip(*part.batches(), strict=True))
    pixels = judged.data.train_pixels
    assert isinstance(pixels, Tensor)
    expected = torch.softmax(model.eval()(pixels[numbers]) / 2, dim=1).detach().numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, judged.data.train_labels[numbers].numpy())
