"""Whether a run ends because nothing has drifted, with a champion in a real MLflow store."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from certified_version import NAME, Certified, certified, changed
from PIL import Image
from said import Said

from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.drift import DriftSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference
from sanefit.components.foundation.schemas.runs import NEWS, NOTHING_NEW
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.model_registry.drift.snapshot_drift import compare_with_champion
from sanefit.components.model_registry.steps import compare_with_champion as compare_step

pytestmark = pytest.mark.slow

SETTINGS = DriftSettings(retrain_when="drifted")
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def made(storage: Path, uri: str) -> Certified:
    return certified(storage, uri, {}, steps=150)


def snapshot_of(
    made: Certified, folder: Path, change: Change, *, classes: Sequence[int] = range(10)
) -> DatasetReference:
    """All digits, changed, as files."""
    for split in SPLITS:
        for number, (pixels, label) in enumerate(zip(*read_split(made.evidence.inputs.dataset, split), strict=True)):
            if label in classes:
                (folder / "images" / str(label)).mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(change(pixels)[..., 0])
                image.save(folder / "images" / str(label) / f"{split}-{number}.png")
    return take_snapshot(DataSettings(source=f"folder:{folder / 'images'}"), str(folder / "storage"), Said())


def compared(made: Certified, dataset: DatasetReference, name: str = NAME) -> tuple[str, str]:
    said = Said()
    answer = compare_with_champion(dataset, name, made.uri, SETTINGS, 0, said)
    [line] = said
    assert line.startswith(f"{answer}: ")
    return answer, line


def test_images_of_the_champion_s_kind_are_nothing_new(made: Certified) -> None:
    """Its test images, which it was not trained on."""
    answer, line = compared(made, made.evidence.inputs.dataset)
    assert answer == NOTHING_NEW
    assert f"champion models:/{NAME}/1, 320 of 320 images that are new to it: not drifted: nearest to it is " in line


def test_images_that_have_drifted_are_news_with_numbers(made: Certified, tmp_path: Path) -> None:
    answer, line = compared(made, snapshot_of(made, tmp_path, lambda pixels: pixels // 2))
    assert answer == NEWS
    assert "images that are new to it: drifted: brightness (effect 1.000, p <1e-99), contrast" in line


def test_a_few_new_images_are_nothing_new(made: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    from sanefit.components.model_registry.drift import snapshot_drift

    monkeypatch.setattr(snapshot_drift, "LEAST_IMAGES", 321)
    answer, line = compared(made, made.evidence.inputs.dataset)
    assert (answer, "not drifted: 320 images that are new tell nothing" in line) == (NOTHING_NEW, True)


def test_what_cannot_be_compared_is_news(made: Certified, tmp_path: Path) -> None:
    dataset = made.evidence.inputs.dataset
    assert compared(made, dataset, "nobody") == (NEWS, "news: there is no champion to have drifted from")
    fewer = snapshot_of(made, tmp_path, lambda pixels: pixels, classes=(0, 1))
    assert "has another class_names" in compared(made, fewer)[1]
    with changed(made.files / "drift" / "reference.npz", None):
        answer, line = compared(made, dataset)
    assert (answer, "has no drift/reference.npz" in line) == (NEWS, True)
    [weights] = (made.storage / "mlflow-artifacts").rglob("models/*/artifacts/data/model.pt2")
    with changed(weights, b"damaged"):
        answer, line = compared(made, dataset)
    assert (answer, "cannot be compared with: " in line) == (NEWS, True)


def test_without_a_store_there_is_no_champion_and_none_is_made(made: Certified, tmp_path: Path) -> None:
    said = Said()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert compare_with_champion(made.evidence.inputs.dataset, NAME, uri, SETTINGS, 0, said) == NEWS
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_ends_so_keeps_what_the_step_said(made: Certified, tmp_path: Path) -> None:
    dataset = made.evidence.inputs.dataset.model_dump_json()
    drift = SETTINGS.model_dump_json()
    assert compare_step(NAME, "ends", "j", str(tmp_path), made.uri, dataset, drift, 0) == NOTHING_NEW
    [step] = read_run_record(Storage(str(tmp_path)).run("ends")).steps
    assert (step.step, step.state) == ("drift", "succeeded")
    assert step.said.startswith(f"nothing new: champion models:/{NAME}/1, ")
