"""A real S3 server, for the tests of the object store."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cloud_servers import azurite, google_storage, running_azurite
from free_ports import free_ports

from sanefit.components.foundation.storage.cloud_store import reached_store
from sanefit.components.foundation.storage.s3_store import s3_client

WEED = Path(sys.executable).with_name("weed")
GRPC_OFFSET = 10_000
READY_WITHIN = 30.0


@dataclass(frozen=True)
class S3Server:
    """A running server and a bucket in it."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str


def new_s3_server(folder: Path) -> tuple[S3Server, list[str]]:
    """A server that keeps its data in ``folder``, and the command that starts it, also again."""
    s3, master, volume, filer, admin = free_ports(5, GRPC_OFFSET)
    server = S3Server(f"http://127.0.0.1:{s3}", "the-access-key", "the-secret-key", "images")
    credentials = {"accessKey": server.access_key, "secretKey": server.secret_key}
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    identities = [{"name": "admin", "credentials": [credentials], "actions": actions}]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    command = [
        *(str(WEED), f"-logdir={folder}", "mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-s3.config={folder / 's3.json'}", f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}"),
        *(f"-filer.port={filer}", f"-admin.port={admin}", "-master.telemetry=false", "-admin.ui=false"),
        *("-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"),
    ]
    return server, command


@contextmanager
def running_s3_server(folder: Path, server: S3Server, command: list[str]) -> Iterator[None]:
    """SeaweedFS with its bucket; killed at the end."""
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process:
        try:
            _create_bucket_when_ready(server, process, folder / "log")
            yield
        finally:
            process.kill()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS with one bucket; stopped when the tests end."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    server, command = new_s3_server(folder)
    with running_s3_server(folder, server, command):
        yield server


def _create_bucket_when_ready(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            if server.bucket not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=server.bucket)
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"yes")
            client.get_object(Bucket=server.bucket, Key="ready")
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a bucket, on a server that boto3's usual chain finds."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the first credentials that it saw
    s3_client.cache_clear()
    yield f"s3://{s3_server.bucket}"
    s3_client.cache_clear()


@pytest.fixture(scope="session")
def google_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What users of Google's storage have set; it has the bucket ``images``."""
    folder = tmp_path_factory.mktemp("google")
    server, command = new_s3_server(folder)
    without_keys = [argument for argument in command if not argument.startswith("-s3.config")]
    with running_s3_server(folder, server, without_keys), google_storage(server.endpoint) as environment:
        yield environment


@pytest.fixture(scope="session")
def azure_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What users of Azure's storage have set; it has the container ``images``."""
    with running_azurite(tmp_path_factory.mktemp("azurite"), "images") as environment:
        yield environment


@pytest.fixture
def gs(google_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a bucket, on a server that obstore's usual chain finds."""
    with _reached_by(google_environment, monkeypatch):
        yield "gs://images"


@pytest.fixture
def az(azure_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a container, on a server that obstore's usual chain finds."""
    with _reached_by(azure_environment, monkeypatch):
        yield "az://images"


@contextmanager
def _reached_by(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    reached_store.cache_clear()
    yield
    reached_store.cache_clear()


def remote_store_names() -> list[object]:
    """The fixtures of object stores; those that cannot be had here are skipped."""
    reason = "Azurite is not installed; make azurite"
    return ["s3", "gs", pytest.param("az", marks=pytest.mark.skipif(azurite() is None, reason=reason))]
