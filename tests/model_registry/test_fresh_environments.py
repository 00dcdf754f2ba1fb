"""Registered models in environments that were made for them: without sanefit, and with what they ask for alone."""

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from containers.package_index import pip_options
from containers.servers import answers, mlflow_server, running
from free_ports import free_port
from numpy.typing import NDArray
from packaging.requirements import Requirement
from PIL import Image
from said import Said
from source_tree import ROOT
from test_registration import DATA, NETWORK, RULE, folder_of, opened, trained_model
from training_inputs import inputs_of

from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.registration import register

pytestmark = pytest.mark.slow

NAME, FILES = "digits", "digits-files"
IMAGES = 32
UV = Path(sys.executable).with_name("uv")
OF_PIP = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}


@dataclass(frozen=True)
class Registered:
    """Both champions answer here. ``pixels``: uint8 (images, height, width, 1); ``photos``: the same as JPEG files."""

    uri: str
    pixels: NDArray[np.uint8]
    photos: list[bytes]
    of_pixels: NDArray[np.float64]
    of_photos: NDArray[np.float64]


@pytest.fixture(scope="module")
def registered(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registered]:
    storage = tmp_path_factory.mktemp("storage")
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri, pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration_module, "verify", lambda *_: None)  # tested elsewhere
        run = opened(NAME, "r", storage, uri, digits)
        trained = trained_model(folder_of(run), digits, digits_stats, 60)
        register(NAME, inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said())
        connect(uri)
        pixels = read_split(digits, "test")[0][:IMAGES]
        photos = [jpeg(image) for image in pixels]
        of_pixels = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(pixels)
        of_photos = mlflow.pyfunc.load_model(f"models:/{FILES}@champion").predict(pd.DataFrame({"image": photos}))
        probabilities = np.array(of_photos["probabilities"].tolist())
        yield Registered(uri, pixels, photos, np.asarray(of_pixels, np.float64), probabilities)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0]).save(buffer, "JPEG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Environments:
    """Where virtual environments are made. They share the files of packages, which are unpacked once."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """uv does not read pip's configuration: where packages come from is handed on."""
        options = pip_options()
        places = {variable: options[name] for name, variable in OF_PIP.items() if name in options}
        others = {"UV_CACHE_DIR": str(self.folder / "cache"), "UV_INDEX_STRATEGY": "unsafe-best-match"}
        return clean() | places | others

    def make(self, name: str, arguments: Sequence[str]) -> Path:
        """A new environment with these packages and what they bring along; its Python."""
        python = self.folder / name / "bin" / "python"
        self._uv("venv", "--python", sys.executable, str(self.folder / name))
        self._uv("pip", "install", "--python", str(python), *arguments)
        return python

    def why_nothing_can_be_installed(self) -> str:
        """Empty when an index that has the packages is reached."""
        command = [UV, "pip", "compile", "--quiet", "--python", sys.executable, "-"]
        asked = subprocess.run(
            command, input="mlflow\ntorch\n", capture_output=True, text=True, env=self.variables, check=False
        )
        return " ".join(asked.stderr.split()) if asked.returncode else ""

    def _uv(self, *arguments: str) -> None:
        ran = subprocess.run([UV, *arguments], capture_output=True, text=True, env=self.variables, check=False)
        assert ran.returncode == 0, ran.stderr


def clean() -> dict[str, str]:
    """What a program is told by this machine, and not by these tests."""
    ours = ("PYTHON", "MLFLOW_", "UV_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    """Removed at the end: several GB."""
    folder = tmp_path_factory.mktemp("environments")
    try:
        found = Environments(folder)
        if reason := found.why_nothing_can_be_installed():
            pytest.skip(f"packages cannot be installed here: {reason}")
        yield found
    finally:
        subprocess.run(["rm", "-r", str(folder)], check=True)  # shutil's takes several times as long


def requirements_of(model_name: str, folder: Path) -> list[str]:
    """What the registered model says that it needs, as a service would read it."""
    file = mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{model_name}@champion/requirements.txt", dst_path=str(folder)
    )
    return Path(file).read_text().splitlines()


def pinned(requirements: Sequence[str]) -> list[str]:
    """As arguments of an installation; what they bring along is of the versions in the lock, not of today's."""
    return ["--constraint", str(ROOT / "requirements.lock"), *requirements]


ANSWER = """
import importlib.util, sys
assert importlib.util.find_spec("sanefit") is None
import mlflow, numpy as np
_, uri, model_uri, questions, answers = sys.argv
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model(model_uri)
if questions.endswith(".npy"):
    found = model.predict(np.load(questions))
else:
    import json, base64, pandas as pd
    with open(questions) as opened:
        files = [base64.b64decode(one) for one in json.load(opened)]
    found = np.array(model.predict(pd.DataFrame({"image": files}))["probabilities"].tolist())
np.save(answers, found)
"""


def answers_in(python: Path, uri: str, model_uri: str, questions: Path) -> NDArray[np.float64]:
    """The probabilities that a model gives in an environment."""
    file = questions.with_name("answers.npy")
    command = [python, "-c", ANSWER, uri, model_uri, str(questions), str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, env=clean(), cwd=questions.parent, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "requirement" not in ran.stderr, "MLflow warns when an environment is not what the model asks for"
    return np.asarray(np.load(file), np.float64)


def test_the_model_that_takes_pixels_needs_mlflow_and_torch_alone(
    environments: Environments, registered: Registered, tmp_path: Path
) -> None:
    requirements = requirements_of(NAME, tmp_path)
    assert sorted(Requirement(line).name for line in requirements) == ["mlflow", "torch"]
    python = environments.make("pixels", pinned(requirements))
    np.save(tmp_path / "pixels.npy", registered.pixels)
    found = answers_in(python, registered.uri, f"models:/{NAME}@champion", tmp_path / "pixels.npy")
    np.testing.assert_allclose(found, registered.of_pixels, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def for_files(environments: Environments, registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with what the model that takes files pins."""
    connect(registered.uri)
    return environments.make("files", pinned(requirements_of(FILES, tmp_path_factory.mktemp("requirements"))))


def test_the_model_that_takes_files_needs_what_it_pins(for_files: Path, registered: Registered, tmp_path: Path) -> None:
    (tmp_path / "files.json").write_text(json.dumps([base64.b64encode(photo).decode() for photo in registered.photos]))
    found = answers_in(for_files, registered.uri, f"models:/{FILES}@champion", tmp_path / "files.json")
    np.testing.assert_allclose(found, registered.of_photos, rtol=0, atol=1e-4)


def require_service(address: str, registered: Registered) -> None:
    """It answers to a JPEG as the model does here, and tells nonsense."""
    status, said = ask(address, registered.photos[0])
    assert status == 200, said
    [answer] = json.loads(said)["predictions"]
    assert answer["probabilities"] == pytest.approx(registered.of_photos[0].tolist(), abs=1e-4)
    status, said = ask(address, b"no image at all")
    assert status == 400
    assert "no image that can be identified" in said


def ask(address: str, content: bytes) -> tuple[int, str]:
    body = {"dataframe_records": [{"image": base64.b64encode(content).decode()}]}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/invocations", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, registered: Registered, folder: Path, **variables: str) -> Iterator[str]:
    path = f"{Path(command[0]).parent}:{os.environ['PATH']}"
    environment = clean() | {"MLFLOW_TRACKING_URI": registered.uri, "PATH": path} | variables
    address = f"http://127.0.0.1:{port}"
    with running(command, environment, folder / "log", lambda: answers(f"{address}/ping")):
        yield address


def test_mlflow_serves_the_model_that_takes_files_there(
    for_files: Path, registered: Registered, tmp_path: Path
) -> None:
    port = free_port()
    command = [str(for_files.with_name("mlflow")), "models", "serve", "-m", f"models:/{FILES}@champion"]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    with serving(command, port, registered, tmp_path) as address:
        require_service(address, registered)


def test_the_trainer_image_has_what_a_service_needs(
    environments: Environments, registered: Registered, tmp_path: Path
) -> None:
    """Its packages, from its lock, and its copy of sanefit; tests/containers builds the image itself."""
    python = environments.make("trainer", ["--requirement", str(ROOT / "images" / "trainer" / "requirements.lock")])
    (tmp_path / "steps" / "sanefit").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "sanefit" / "__init__.py", tmp_path / "steps" / "sanefit")
    shutil.copytree(ROOT / "components", tmp_path / "steps" / "sanefit" / "components")
    port = free_port()
    command = [str(python), "-m", "sanefit.components.model_registry.serving", FILES, f"--port={port}"]
    with serving(command, port, registered, tmp_path, PYTHONPATH=str(tmp_path / "steps")) as address:
        require_service(address, registered)
