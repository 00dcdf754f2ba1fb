"""A Kubeflow that is not there, and a connection to it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kubeflow_api_double import KubeflowDouble, running_double
from on_a_cluster import ON_A_CLUSTER
from stopped_clock import Clock

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.storage.s3_store import s3_client
from sanefit.pipeline import compile as compilation
from sanefit.pipeline.container_images import ContainerImages, container_images
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.connection import connect
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, RunConfig, load_config

COMPILED: dict[tuple[str, ContainerImages], bytes] = {}
compile_pipeline = compilation.compile_pipeline


def _compile_once(config: RunConfig, images: ContainerImages, output: Path) -> None:
    """The same file for the same configuration, without kfp's second or two for each."""
    key = config.model_dump_json(), images
    if key not in COMPILED:
        compile_pipeline(config, images, output)
        COMPILED[key] = output.read_bytes()
    output.write_bytes(COMPILED[key])


@pytest.fixture(autouse=True)
def _each_configuration_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "compile_pipeline", _compile_once)


@pytest.fixture
def double() -> Iterator[KubeflowDouble]:
    with running_double() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kubeflow(double: KubeflowDouble, clock: Clock) -> Kubeflow:
    return replace(connect(double.url, environment={}), sleep=clock.sleep, timeout=(2.0, 10.0))


@pytest.fixture
def silent() -> RecordReader:
    """What reads the record of runs of which nothing can be read from here."""

    def tracked(tracking_uri: str, _: str) -> RunRecord:
        raise StorageError(f"{tracking_uri!r} is not asked here")

    return RecordReader(tracked, {})


@pytest.fixture(autouse=True)
def _no_storage_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever credentials and tracking server this machine has."""
    for name in ("MLFLOW_TRACKING_URI", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3_client.cache_clear()
    yield
    s3_client.cache_clear()


@pytest.fixture(scope="session")
def config() -> RunConfig:
    return load_config(DEFAULT_CONFIG, ON_A_CLUSTER)


@pytest.fixture(scope="session")
def compiled(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline as it is uploaded."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(config, container_images(), path)
    return path
