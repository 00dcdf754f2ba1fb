"""What is kept with a version beside the model, against scikit-learn; its temperature, and when it is unsure."""

import io
import json
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from said import Said
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from test_registration import DATA, NETWORK, folder_of, opened, trained_classifier, trained_model
from training_inputs import inputs_of

from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.dataset_inputs import log_dataset_inputs
from sanefit.components.model_registry.predicted_files import load_predictor
from sanefit.components.model_registry.registration import register

pytestmark = pytest.mark.slow

STEPS, TEMPERATURE, REJECT_BELOW = 60, 1.5, 0.3


@pytest.fixture(scope="module")
def run(digits: DatasetReference, storage: Path, uri: str) -> RunReference:
    return opened("evidence", "r", storage, uri, digits)


@pytest.fixture(scope="module")
def registration(run: RunReference, digits: DatasetReference, digits_stats: ChannelStats) -> Registration:
    trained = trained_model(folder_of(run), digits, digits_stats, STEPS).model_copy(update={"temperature": TEMPERATURE})
    settings = RegistrySettings(reject_below=REJECT_BELOW)
    return register("evidence", inputs_of(digits, digits_stats, NETWORK), DATA, trained, settings, run, Said())


@pytest.fixture(scope="module")
def probabilities(digits: DatasetReference, digits_stats: ChannelStats) -> NDArray[np.float64]:
    """Of the test split, by hand."""
    pixels, _ = read_split(digits, "test")
    classifier = trained_classifier(digits, digits_stats, STEPS).eval()
    scores = classifier(torch.from_numpy(pixels)).detach().double().numpy()
    powers = np.exp((scores - scores.max(axis=1, keepdims=True)) / TEMPERATURE)
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


@pytest.fixture(scope="module")
def kept(registration: Registration, run: RunReference, uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert registration.alias == "champion"
    folder = tmp_path_factory.mktemp("kept")
    return Path(connect(uri).download_artifacts(run.tracking_run_id, "evaluation", str(folder)))


def test_the_temperature_is_a_part_of_the_model(
    registration: Registration, probabilities: NDArray[np.float64], digits: DatasetReference
) -> None:
    pixels, _ = read_split(digits, "test")
    served = mlflow.pyfunc.load_model(registration.model_uri).predict(pixels)
    np.testing.assert_allclose(served, probabilities, atol=1e-5)


def test_the_scores_of_each_class_are_those_of_scikit_learn(
    kept: Path, probabilities: NDArray[np.float64], digits: DatasetReference, run: RunReference, uri: str
) -> None:
    _, labels = read_split(digits, "test")
    called = probabilities.argmax(axis=1)
    precision, recall, f1, images = precision_recall_fscore_support(labels, called, zero_division=0)
    found = pd.read_csv(kept / "classes.csv", dtype={"class": str})
    assert found["class"].tolist() == read_manifest(digits).class_names
    assert found["images"].tolist() == images.tolist()
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        np.testing.assert_allclose(found[name], expected)
        assert connect(uri).get_run(run.tracking_run_id).data.metrics[f"test_{name}"] == pytest.approx(expected.mean())
    pairs = pd.read_csv(kept / "confusion.csv")
    counts = np.zeros((10, 10), dtype=int)
    counts[pairs["class"], pairs["called"]] = pairs["images"]
    np.testing.assert_array_equal(counts, confusion_matrix(labels, called))


def test_reliability_is_that_of_scikit_learn(
    kept: Path, probabilities: NDArray[np.float64], digits: DatasetReference
) -> None:
    _, labels = read_split(digits, "test")
    share, confidence = calibration_curve(probabilities.argmax(axis=1) == labels, probabilities.max(axis=1), n_bins=15)
    found = pd.read_csv(kept / "reliability.csv")
    np.testing.assert_allclose(found["accuracy"], share)
    np.testing.assert_allclose(found["confidence"], confidence, atol=1e-5)
    assert found["images"].sum() == len(labels)


def test_the_worst_mistakes_are_kept_as_pictures(
    kept: Path, probabilities: NDArray[np.float64], digits: DatasetReference
) -> None:
    pixels, labels = read_split(digits, "test")
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1))][:24]
    found = pd.read_csv(kept / "mistakes.csv")
    assert found["image"].tolist() == worst.tolist()
    assert found["class"].tolist() == labels[worst].tolist()
    np.testing.assert_allclose(found["probability"], probabilities[worst].max(axis=1), atol=1e-5)
    for place, number in enumerate(worst, start=1):
        picture = np.asarray(Image.open(kept / f"mistake-{place:02d}.png"))
        np.testing.assert_array_equal(picture, pixels[number, :, :, 0])


def test_what_the_model_is_not_sure_of_is_unsure(
    registration: Registration, probabilities: NDArray[np.float64], digits: DatasetReference
) -> None:
    pixels, _ = read_split(digits, "test")
    files = []
    for image in pixels[:60]:
        buffer = io.BytesIO()
        Image.fromarray(image[:, :, 0]).save(buffer, "PNG")
        files.append(buffer.getvalue())
    answered = mlflow.pyfunc.load_model("models:/evidence-files@champion").predict(pd.DataFrame({"image": files}))
    sure = probabilities[:60].max(axis=1) >= REJECT_BELOW
    assert 0 < sure.sum() < 60, "else this test shows nothing"
    names = [str(label) for label in probabilities[:60].argmax(axis=1)]
    expected = [name if one else "unsure" for name, one in zip(names, sure, strict=True)]
    assert answered["label"].tolist() == expected
    assert load_predictor(registration.model_uri).reject_below == REJECT_BELOW


def test_a_run_lists_its_data_once(run: RunReference, uri: str) -> None:
    client = connect(uri)
    for images in ({"train": 30, "validation": 10, "test": 12}, {"train": 1}):
        log_dataset_inputs(
            client, run.tracking_run_id, source="digits", fingerprint="f" * 64, images=images, classes=10
        )
    inputs = client.get_run(run.tracking_run_id).inputs
    assert inputs
    found = {one.tags[0].value: one.dataset for one in inputs.dataset_inputs}
    assert {context: json.loads(str(data.profile))["images"] for context, data in found.items()} == {
        "training": 30,
        "validation": 10,
        "testing": 12,
    }
    assert {data.digest for data in found.values()} == {"f" * 36}
    assert json.loads(found["training"].source) == {"source": "digits"}


def _lists_its_data(uri: str, run_id: str, start: Barrier) -> None:
    client = connect(uri)
    start.wait(60)
    log_dataset_inputs(client, run_id, source="digits", fingerprint="a" * 64, images={"train": 3}, classes=2)


def test_runs_that_list_the_same_data_at_once_both_do(run: RunReference, uri: str) -> None:
    client, context = connect(uri), multiprocessing.get_context("fork")
    assert run
    for number in range(5):
        experiment = client.create_experiment(f"at once {number}")
        runs, start = [client.create_run(experiment).info.run_id for _ in range(3)], context.Barrier(3)
        processes = [context.Process(target=_lists_its_data, args=(uri, run_id, start)) for run_id in runs]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert all(inputs.dataset_inputs for run_id in runs if (inputs := client.get_run(run_id).inputs))
