"""The Deployment's own commands, arguments and variables, against a real PostgreSQL and a real S3 server."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import sqlalchemy
from containers.servers import postgresql, running
from foundation.conftest import S3Server, s3_server  # noqa: F401
from free_ports import free_port
from overlays import ROOT, Object, of_kind

pytestmark = pytest.mark.slow

SERVICE = "mlflow.mlflow.svc"
EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of an empty database."""
    with postgresql(tmp_path_factory.mktemp("postgresql")) as uri:
        yield uri


@pytest.fixture(scope="module")
def pod(rendered: dict[str, list[Object]]) -> Object:
    [deployment] = [
        item for item in of_kind(rendered["dev"], "Deployment") if item["metadata"]["namespace"] == "mlflow"
    ]
    return deployment["spec"]["template"]["spec"]


def environment_of(container: Object, rendered: list[Object], database: str, s3: S3Server) -> dict[str, str]:
    """As Kubernetes would make it, with the values of secrets and the addresses of this machine in their places."""
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        kind, name = next((kind, ref["name"]) for kind, ref in source.items())
        objects = of_kind(rendered, {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind])
        [found] = [item for item in objects if item["metadata"]["name"] == name]
        values |= found.get("data") or found["stringData"]
    for variable in container["env"]:
        if "value" in variable:
            values[variable["name"]] = variable["value"]
        else:
            assert variable["valueFrom"]["secretKeyRef"] == {"name": "mlflow-database", "key": "uri"}
            values[variable["name"]] = database
    here = {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{s3.bucket}/mlflow",
        "MLFLOW_S3_ENDPOINT_URL": s3.endpoint,
    }
    assert set(here) <= set(values) or "envFrom" not in container
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return inherited | values | {name: value for name, value in here.items() if name in values}


@pytest.fixture(scope="module")
def migrated(
    pod: Object,
    rendered: dict[str, list[Object]],
    database: str,
    s3_server: S3Server,  # noqa: F811
) -> list[str]:
    """The schema after two pods that start at once, and after a third."""
    [container] = pod["initContainers"]
    assert container["command"] == ["python", "/migrations/migrate.py"]
    command = [sys.executable, str(ROOT / "k8s" / "mlflow" / "migrate.py")]
    environment = environment_of(container, rendered["dev"], database, s3_server)
    first, second = (
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    )
    for process in (first, second):
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    tables = schema(database)
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    assert schema(database) == tables
    return tables


def schema(database: str) -> list[str]:
    engine = sqlalchemy.create_engine(database)
    try:
        inspector = sqlalchemy.inspect(engine)
        return sorted(
            f"{table}.{column['name']}"
            for table in inspector.get_table_names()
            for column in inspector.get_columns(table)
        )
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def server(
    migrated: list[str],  # noqa: ARG001
    pod: Object,
    rendered: dict[str, list[Object]],
    database: str,
    s3_server: S3Server,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of the server, started as the pod would, on another port and this machine only."""
    [container] = pod["containers"]
    port = free_port()
    here = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={port}"}
    assert set(here) <= set(container["args"])
    command = [
        sys.executable,
        "-m",
        *container["command"],
        *(here.get(argument, argument) for argument in container["args"]),
    ]
    environment = environment_of(container, rendered["dev"], database, s3_server)
    folder = tmp_path_factory.mktemp("mlflow")
    probe = container["startupProbe"]["httpGet"]
    [host] = [header["value"] for header in probe["httpHeaders"]]
    address = f"http://127.0.0.1:{port}"
    with running(command, environment, folder / "log", lambda: status(address + probe["path"], host) == 200):
        yield address


def status(url: str, host: str) -> int | None:
    """What a server answers to a name; None when there is none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_the_database_has_the_schema_of_this_version(migrated: list[str]) -> None:
    assert {"experiments.experiment_id", "registered_models.name", "model_versions.version"} <= set(migrated)


@pytest.mark.parametrize("host", [SERVICE, f"{SERVICE}:5000", f"{SERVICE}.cluster.local:5000", "localhost:5000"])
def test_the_server_answers_to_the_names_of_its_service(server: str, host: str) -> None:
    assert status(server + EXPERIMENTS, host) == 200


@pytest.mark.parametrize("host", ["attacker.example", f"{SERVICE}.attacker.example", "mlflow.sanefit.svc:5000"])
def test_the_server_refuses_other_names(server: str, host: str) -> None:
    assert status(server + EXPERIMENTS, host) == 403


def test_runs_are_kept_in_postgresql_and_artifacts_in_s3(
    server: str,
    database: str,
    s3_server: S3Server,  # noqa: F811
    tmp_path: Path,
) -> None:
    """A client knows neither the database nor a key of S3: the server stands between."""
    client = mlflow.MlflowClient(server)
    run = client.create_run(client.create_experiment("placed"))
    client.log_metric(run.info.run_id, "accuracy", 0.5)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    client.log_text(run.info.run_id, "seen", "note.txt")
    engine = sqlalchemy.create_engine(database)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT value FROM metrics")).scalars().all() == [0.5]
    engine.dispose()
    assert read_object(s3_server, f"mlflow/{run.info.experiment_id}/{run.info.run_id}/artifacts/note.txt") == b"seen"
    assert Path(client.download_artifacts(run.info.run_id, "note.txt", str(tmp_path))).read_text() == "seen"


def read_object(s3: S3Server, key: str) -> bytes:
    import boto3

    client: Any = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name="us-east-1",
    )
    return bytes(client.get_object(Bucket=s3.bucket, Key=key)["Body"].read())
