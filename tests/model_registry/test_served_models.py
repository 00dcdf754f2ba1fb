"""What services load: the model that takes pixels, and the one that takes image files, tied to it."""

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from containers.servers import answers, running
from free_ports import free_port
from numpy.typing import NDArray
from PIL import Image
from said import Said
from test_registration import NETWORK, folder_of, opened, trained_model
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.image_dataset.shards import open_split, read_manifest
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import SPLITS, DatasetReference
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry.api import find_images, load_predictor, promote
from sanefit.components.model_registry.registration import register
from sanefit.components.model_registry.verification import verify

pytestmark = pytest.mark.slow

SIZE = (12, 17)


def photograph(number: int, random: np.random.Generator) -> tuple[str, bytes]:
    """Of many sizes: turned by Exif, gray, transparent, of 16 bits, of a palette, or plain."""
    rough = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(rough).resize((20 + number % 30, 15 + number % 17), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    match number % 6:
        case 0:
            exif = Image.Exif()
            exif[0x0112] = 2 + number % 7
            picture.save(buffer, "JPEG", exif=exif)
        case 1:
            picture.convert("L").save(buffer, "PNG")
        case 2:
            picture.putalpha(Image.fromarray(random.integers(0, 256, picture.size[::-1], dtype=np.uint8)))
            picture.save(buffer, "PNG")
        case 3:
            picture.convert("P").save(buffer, "GIF")
        case 4:
            Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(buffer, "PNG")
        case _:
            picture.save(buffer, "WEBP")
    return f"{number}.{('jpg', 'png', 'png', 'gif', 'png', 'webp')[number % 6]}", buffer.getvalue()


@pytest.fixture(scope="module")
def photographs() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    return dict(photograph(number, random) for number in range(180))


@pytest.fixture(scope="module")
def settings(photographs: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    root = tmp_path_factory.mktemp("photographs")
    for place, (name, content) in enumerate(photographs.items()):
        (root / ("cat" if place % 2 else "dog")).mkdir(exist_ok=True)
        (root / ("cat" if place % 2 else "dog") / name).write_bytes(content)
    return DataSettings(source=f"folder:{root}", image_size=SIZE, background=(10, 200, 30))


@pytest.fixture(scope="module")
def dataset(settings: DataSettings, storage: Path) -> DatasetReference:
    return take_snapshot(settings, str(storage), Said())


@pytest.fixture(scope="module")
def registration(dataset: DatasetReference, settings: DataSettings, storage: Path, uri: str) -> Registration:
    """Verified in a process of its own."""
    stats = measure_channel_stats(dataset, StatsSettings(), Said())
    run = opened("photographs", "r", storage, uri, dataset)
    trained = trained_model(folder_of(run), dataset, stats, 2)
    return register(
        "photographs", inputs_of(dataset, stats, NETWORK), settings, trained, RegistrySettings(), run, Said()
    )


def probabilities_of_the_snapshot(dataset: DatasetReference) -> NDArray[np.float64]:
    """Of all of its images, by the model that takes pixels; rows in sorted order."""
    model = mlflow.pyfunc.load_model("models:/photographs@champion")
    manifest = read_manifest(dataset)
    found = [model.predict(open_split(dataset, split, manifest=manifest).read_all()) for split in SPLITS]
    return np.sort(np.round(np.concatenate(found)[:, 0].astype(np.float64), 6))


def test_files_are_answered_as_the_snapshot_s_pixels_are(
    registration: Registration, dataset: DatasetReference, photographs: dict[str, bytes], uri: str
) -> None:
    assert registration.alias == "champion"
    connect(uri)
    model = mlflow.pyfunc.load_model("models:/photographs-files@champion")
    answered = model.predict(pd.DataFrame({"image": list(photographs.values())}))
    found = np.array(answered["probabilities"].tolist())
    np.testing.assert_allclose(np.sort(np.round(found[:, 0], 6)), probabilities_of_the_snapshot(dataset), atol=2e-6)
    assert answered["label"].tolist() == [["cat", "dog"][best] for best in found.argmax(axis=1)]
    np.testing.assert_allclose(answered["probability"], found.max(axis=1))


WITHOUT_SANEFIT = """
import sys
sys.path = [path for path in sys.path if not path.endswith("src")]
import importlib.util
assert importlib.util.find_spec("sanefit") is None
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/photographs-files@champion")
print(model.predict(pd.DataFrame({"image": [open(sys.argv[2], "rb").read()]}))["label"][0])
import sanefit
assert "/code/" in sanefit.__path__[0].replace("\\\\", "/"), sanefit.__path__
"""


def test_the_model_brings_the_code_that_it_needs(
    registration: Registration, photographs: dict[str, bytes], uri: str, tmp_path: Path
) -> None:
    assert registration
    file = tmp_path / "photo"
    file.write_bytes(photographs["0.jpg"])
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SANEFIT, uri, str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.strip() in ("cat", "dog")


def test_a_service_answers_base64_and_refuses_nonsense(
    registration: Registration, photographs: dict[str, bytes], uri: str, tmp_path: Path
) -> None:
    assert registration
    port = free_port()
    command = [
        *(str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", "models:/photographs-files@champion"),
        *("--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)),
    ]
    variables = {"MLFLOW_TRACKING_URI": uri, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ready = f"http://127.0.0.1:{port}/ping"
    with running(command, {**os.environ, **variables}, tmp_path / "serve.log", lambda: answers(ready)):

        def ask(content: bytes) -> tuple[int, str]:
            body = {"dataframe_records": [{"image": base64.b64encode(content).decode()}]}
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        connect(uri)
        model = mlflow.pyfunc.load_model("models:/photographs-files@champion")
        for name in ("0.jpg", "1.png", "2.png"):
            status, said = ask(photographs[name])
            [expected] = model.predict(pd.DataFrame({"image": [photographs[name]]})).to_dict("records")
            assert status == 200
            assert json.loads(said)["predictions"][0]["label"] == expected["label"]
            assert json.loads(said)["predictions"][0]["probabilities"] == pytest.approx(expected["probabilities"])
        status, said = ask(b"no image at all")
        assert status == 400
        assert "no image that can be identified" in said


def test_the_files_model_follows_its_champion(registration: Registration, uri: str) -> None:
    client = connect(uri)
    tags = client.get_model_version("photographs", registration.model_version).tags
    files = client.get_registered_model("photographs-files").aliases
    assert str(files["champion"]) == tags["sanefit.files_version"]
    of_files = client.get_model_version("photographs-files", tags["sanefit.files_version"]).tags
    assert of_files.items() <= tags.items()
    assert of_files.keys() == {"test_accuracy", "sanefit.fingerprint"}
    source = client.get_model_version("photographs", registration.model_version).source
    other = client.create_model_version("photographs", source=source, tags={"sanefit.files_version": "2"})
    client.create_model_version("photographs-files", source=source)
    now = pd.Timestamp("2026-11-27", tz="UTC").to_pydatetime()
    promote(client, "photographs", str(other.version), "ada", "", now)
    assert str(client.get_registered_model("photographs-files").aliases["champion"]) == "2"
    promote(client, "photographs", registration.model_version, "ada", "", now)
    assert str(client.get_registered_model("photographs-files").aliases["champion"]) == tags["sanefit.files_version"]


def test_a_model_that_answers_otherwise_elsewhere_takes_no_alias(
    registration: Registration, dataset: DatasetReference, uri: str
) -> None:
    test = open_split(dataset, "test", manifest=read_manifest(dataset))
    wrong = np.full((len(test), 2), 0.5, dtype=np.float32)
    with pytest.raises(RunFailedError, match="answers otherwise in a process of its own: probabilities up to"):
        verify(uri, registration.model_uri, "models:/photographs-files/1", test, wrong)


def packed(photographs: dict[str, bytes], folder: Path) -> list[str]:
    """A third of the photographs in a folder, a tar, a zip, and a file each."""
    names = list(photographs)
    (folder / "deep" / "er").mkdir(parents=True)
    for name in names[:60]:
        (folder / "deep" / "er" / name).write_bytes(photographs[name])
    with tarfile.open(folder / "some.tar.gz", "w:gz") as tar:
        for name in names[60:120]:
            member = tarfile.TarInfo(name)
            member.size = len(photographs[name])
            tar.addfile(member, io.BytesIO(photographs[name]))
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        for name in names[120:170]:
            archive.writestr(f"in/{name}", photographs[name])
    alone = []
    for name in names[170:]:
        (folder / name).write_bytes(photographs[name])
        alone.append(str(folder / name))
    return [str(folder / "deep"), f"tar:{folder / 'some.tar.gz'}", str(folder / "some.zip"), *alone]


def test_predictions_for_files_folders_and_archives_are_those_of_the_files_model(
    registration: Registration, photographs: dict[str, bytes], uri: str, tmp_path: Path
) -> None:
    connect(uri)
    predictor = load_predictor(registration.model_uri)
    found = find_images(packed(photographs, tmp_path), tmp_path, predictor.passed_over)
    answered = list(predictor.answer(found, workers=2))
    assert not any(answers.broken for answers in answered)
    by_name = {
        path.rpartition("/")[2]: probabilities
        for answers in answered
        for path, probabilities in zip(answers.paths, answers.probabilities.tolist(), strict=True)
    }
    model = mlflow.pyfunc.load_model("models:/photographs-files/1")
    expected = model.predict(pd.DataFrame({"image": list(photographs.values())}))["probabilities"].tolist()
    assert by_name.keys() == photographs.keys()
    np.testing.assert_allclose([by_name[name] for name in photographs], expected, atol=1e-6)


def predict(uri: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sanefit", "predict", *arguments]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_command_writes_a_table_and_lists_what_is_broken(
    registration: Registration, photographs: dict[str, bytes], uri: str, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in list(photographs)[:8]:
        (folder / name).write_bytes(photographs[name])
    (folder / "broken.jpg").write_bytes(photographs["0.jpg"][:40])
    (folder / "notes.txt").write_text("no image")
    table, columns = tmp_path / "answers.csv", tmp_path / "answers.parquet"
    ran = predict(uri, registration.model_uri, str(folder), "--csv", str(table), "--json")
    assert ran.returncode == 0, ran.stderr
    assert predict(uri, registration.model_uri, str(folder), "--parquet", str(columns)).returncode == 0
    said = json.loads(ran.stdout.splitlines()[-1])
    assert (said["images"], len(said["broken"])) == (8, 1)
    assert "broken.jpg" in said["broken"][0]
    assert said["passed_over"] == {"no picture (.txt)": 1}
    assert "warning: left out, " in ran.stderr
    rows = pd.read_csv(table)
    assert list(rows.columns) == ["path", "label", "probability", "cat", "dog"]
    assert Counter(rows["label"]) == Counter(said["classes"])
    np.testing.assert_allclose(rows[["cat", "dog"]].max(axis=1), rows["probability"])
    again = pd.read_parquet(columns)
    assert again["path"].tolist() == rows["path"].tolist()
    np.testing.assert_allclose(again["probability of cat"], rows["cat"], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "answers.parquet", "images"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models:/photographs@none", "."], "cannot be loaded"),
        (["models:/photographs/1", "/no/such/photo.jpg"], "no file '/no/such/photo.jpg'"),
        (["models:/photographs/1", "/no/such/folder"], "no folder '/no/such/folder'"),
        (["models:/photographs/1", "digits"], "expected image files, a folder, an archive, s3://…"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(
    registration: Registration, uri: str, arguments: list[str], said: str, tmp_path: Path
) -> None:
    assert registration
    answers_file = tmp_path / "answers.csv"
    answers_file.write_text("before")
    ran = predict(uri, *arguments, "--csv", str(answers_file))
    assert ran.returncode == 2
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert answers_file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [answers_file]
