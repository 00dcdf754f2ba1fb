"""The service of the champion, started as its Deployment does, beside a real MLflow server."""

import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Self

import mlflow
import pandas as pd
import psutil
import pytest
from containers.servers import mlflow_server
from free_ports import free_port
from PIL import Image
from said import Said
from test_registration import DATA, NETWORK, RULE, folder_of, opened, trained_model
from training_inputs import inputs_of

from k8s.overlays import Object, of_kind, render_with
from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.components.foundation.image_dataset.shards import read_split
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.api import promote, roll_back
from sanefit.components.model_registry.registration import register
from sanefit.components.model_registry.serving import Address, main, serve_champion
from sanefit.components.model_registry.version_server import start_version

pytestmark = pytest.mark.slow

NAME, FILES = "digits", "digits-files"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
WITHIN = 120.0  # seconds
NOWHERE = "http://127.0.0.1:9"


class Registry:
    """A running MLflow, and the versions "1" and "2" in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.running = folder, free_port(), contextlib.ExitStack()
        self.photo, self.answers = b"", dict[str, list[float]]()  # a PNG file; what each version answers to it
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.running.enter_context(mlflow_server(self.folder, port=self.port))

    def stop(self) -> None:
        self.running.close()


def png(digits: DatasetReference) -> bytes:
    pixels, _ = read_split(digits, "test")
    buffer = io.BytesIO()
    Image.fromarray(pixels[0][:, :, 0]).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def registry(
    digits: DatasetReference, digits_stats: ChannelStats, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Version 2 is champion."""
    found, storage = Registry(tmp_path_factory.mktemp("mlflow")), tmp_path_factory.mktemp("storage")
    with found.running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration_module, "verify", lambda *_: None)  # tested elsewhere
        found.photo = png(digits)
        for version, steps in (("1", 2), ("2", 60)):
            run = opened(NAME, f"r{version}", storage, found.uri, digits)
            trained = trained_model(folder_of(run), digits, digits_stats, steps)
            registered = register(NAME, inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said())
            assert (registered.model_version, registered.alias) == (version, "champion")
            model = mlflow.pyfunc.load_model(f"models:/{FILES}/{version}")
            [answer] = model.predict(pd.DataFrame({"image": [found.photo]}))["probabilities"]
            found.answers[version] = answer
        yield found


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> tuple[Object, dict[str, str]]:
    """That of the Deployment, and the variables of its ConfigMap."""
    objects = render_with(tmp_path_factory.mktemp("rendered"), "dev", ["serving"])
    here = [item for item in objects if item["metadata"].get("namespace") == "sanefit-serving"]
    [deployment], [configuration] = of_kind(here, "Deployment"), of_kind(here, "ConfigMap")
    [found] = deployment["spec"]["template"]["spec"]["containers"]
    assert found["envFrom"] == [{"configMapRef": {"name": configuration["metadata"]["name"]}}]
    return found, {**configuration["data"], **{one["name"]: one["value"] for one in found["env"]}}


class Service:
    """The Deployment's command, on another port, and looking at the alias more often; ended at the end."""

    def __init__(self, registry: Registry, container: tuple[Object, dict[str, str]], folder: Path) -> None:
        found, variables = container
        assert found["command"][0] == "python3"
        assert found["args"] == [FILES, "--host=0.0.0.0", "--port=8080"]
        self.registry, self.port, self.log, self.files = registry, free_port(), folder / "log", folder / "files"
        self.files.mkdir()
        here = ["--host=127.0.0.1", f"--port={self.port}", "--every=0.5"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        own = {"MLFLOW_TRACKING_URI": registry.uri, "TMPDIR": str(self.files)}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *found["command"][1:], found["args"][0], *here],
                env=inherited | variables | own,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.wait_for(lambda: self.says(f" answers on 127.0.0.1:{self.port}"))
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, content: bytes) -> tuple[int, str]:
        body = {"dataframe_records": [{"image": base64.b64encode(content).decode()}]}
        address, headers = f"http://127.0.0.1:{self.port}/invocations", {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(address, json.dumps(body).encode(), headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def version(self) -> str:
        """Which version's answer it gives."""
        status, said = self.ask(self.registry.photo)
        assert status == 200, said
        given = json.loads(said)["predictions"][0]["probabilities"]
        known = self.registry.answers.items()
        [version] = [version for version, answer in known if given == pytest.approx(answer, abs=1e-4)]
        return version

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def says(self, text: str) -> bool:
        return text in self.log.read_text()


@pytest.fixture(scope="module")
def service(
    registry: Registry, container: tuple[Object, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Told to end at the end."""
    with Service(registry, container, tmp_path_factory.mktemp("service")) as running:
        yield running
        running.process.terminate()
        assert running.process.wait(WITHIN) == 0
        assert list(running.files.iterdir()) == [], "files of a version stay"


def test_the_service_follows_a_promotion_and_a_rollback_and_no_request_is_refused(
    registry: Registry, service: Service
) -> None:
    client, answered, ended = connect(registry.uri), list[str](), threading.Event()

    def keep_asking() -> None:
        while not ended.wait(0.05):
            answered.append(service.version())

    asking = threading.Thread(target=keep_asking, daemon=True)
    asking.start()

    def is_answered_by(version: str) -> bool:
        assert asking.is_alive(), "a request was refused"
        return answered[-1:] == [version]

    try:
        roll_back(client, NAME, "ada", "calls 3 an 8", NOW)
        service.wait_for(lambda: is_answered_by("1"))
        service.wait_for(lambda: service.says(f"models:/{FILES}/1 answers in place of version 2"))
        promote(client, NAME, "2", "ada", "it was the camera", NOW)
        service.wait_for(lambda: is_answered_by("2"))
        service.wait_for(lambda: service.says(f"models:/{FILES}/2 answers in place of version 1"))
    finally:
        ended.set()
        asking.join()
    assert [version for version, _ in groupby(answered)] == ["2", "1", "2"], "every answer is of one or the other"
    assert len(psutil.Process(service.process.pid).children()) == 1, "the servers before have ended"
    assert len(list(service.files.iterdir())) == 1, "and their files are removed"


def test_nonsense_is_told_from_an_image(service: Service) -> None:
    status, said = service.ask(b"no image at all")
    assert status == 400
    assert "no image that can be identified" in said


def test_a_champion_that_cannot_be_loaded_changes_nothing(registry: Registry, service: Service) -> None:
    client = connect(registry.uri)
    run = client.get_run(client.get_model_version(FILES, "1").run_id)
    source = f"{run.info.artifact_uri}/nothing"
    broken = str(client.create_model_version(FILES, source=source, run_id=run.info.run_id).version)
    client.set_registered_model_alias(FILES, "champion", broken)
    service.wait_for(lambda: service.says(f"warning: models:/{FILES}/{broken} cannot be served: its server ended "))
    assert service.version() == "2"
    client.set_registered_model_alias(FILES, "champion", "2")
    client.delete_model_version(FILES, broken)


def test_without_mlflow_the_service_goes_on_and_follows_again_once_it_is_back(
    registry: Registry, service: Service
) -> None:
    registry.stop()
    service.wait_for(lambda: service.says("warning: MLflow does not say which version is champion"))
    assert service.version() == "2"
    registry.start()
    client = connect(registry.uri)
    client.delete_registered_model_alias(FILES, "champion")
    service.wait_for(lambda: service.says("warning: no version has the alias 'champion'; version 2 stays"))
    promote(client, NAME, "1", "ada", "", NOW)
    service.wait_for(lambda: service.version() == "1")


def test_a_request_that_was_begun_is_answered_before_the_service_ends(
    registry: Registry, container: tuple[Object, dict[str, str]], tmp_path: Path
) -> None:
    body = json.dumps({"dataframe_records": [{"image": base64.b64encode(registry.photo).decode()}]}).encode()
    head = (
        "POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with (
        Service(registry, container, tmp_path) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=WITHIN) as connection,
    ):
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")  # MLflow's server waits for the rest
        service.process.terminate()
        service.wait_for(lambda: not listening(service.port))
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"probabilities" in answer
        assert service.process.wait(WITHIN) == 0


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_that_ends_by_itself_ends_the_service_which_kubernetes_starts_again(
    registry: Registry, container: tuple[Object, dict[str, str]], tmp_path: Path
) -> None:
    with Service(registry, container, tmp_path) as service:
        [server] = psutil.Process(service.process.pid).children()
        server.kill()
        assert service.process.wait(WITHIN) == 1
        assert service.says(f"sanefit: error: the server of models:/{FILES}/1 ended with status -9")
        assert list(service.files.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "arguments", "said"),
    [
        ("", [], "MLFLOW_TRACKING_URI is not set; expected the address of MLflow; set it"),
        (NOWHERE, ["--every=0"], "--every=0: expected seconds, more than 0; correct it"),
        (NOWHERE, ["--port=99999"], "cannot listen on 127.0.0.1:99999: "),
        (NOWHERE, ["--port=0"], "expected a reachable tracking server; set MLFLOW_TRACKING_URI"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    uri: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["serving", FILES, *arguments])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error.startswith("sanefit: error: ")
    assert said in error


def test_a_model_without_a_champion_is_not_served(registry: Registry) -> None:
    address = Address("127.0.0.1", 0)
    with pytest.raises(SettingsError, match="no version of a model 'shoe' has the alias 'champion'; expected one"):
        asyncio.run(serve_champion(connect(registry.uri), "shoe", address, 1, Said()))


def test_a_version_that_cannot_be_fetched_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(NOWHERE)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RunFailedError, match="models:/digits-files/1 cannot be fetched: "):
        asyncio.run(start_version(FILES, "1"))
