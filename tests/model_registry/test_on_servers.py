"""Registration against a real MLflow server with PostgreSQL as its store, and its artifacts in a real S3 server."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import mlflow
import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from containers.servers import mlflow_server, postgresql
from foundation.conftest import S3Server, s3_server  # noqa: F401
from PIL import Image
from said import Said
from test_registration import DATA, NETWORK, RULE, folder_of, opened, trained_model
from training_inputs import inputs_of

from sanefit.components.foundation.image_dataset.shards import read_manifest, read_split
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry.image_digests import Digests
from sanefit.components.model_registry.registration import register
from sanefit.components.model_registry.run_lifecycle import close_tracking_run
from sanefit.components.model_registry.seen_images import digests_of, read_seen_images

pytestmark = pytest.mark.slow

NAME, FILES = "digits", "digits-files"


@dataclass(frozen=True)
class Servers:
    """Of MLflow, of its store and of its artifacts."""

    uri: str
    database: str
    s3: S3Server


@pytest.fixture(scope="module")
def servers(
    s3_server: S3Server,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    """Only MLflow knows the password of the database and the key of S3."""
    variables = {
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": s3_server.endpoint,
    }
    folder, artifacts = tmp_path_factory.mktemp("mlflow"), f"s3://{s3_server.bucket}/mlflow"
    with (
        postgresql(tmp_path_factory.mktemp("postgresql")) as database,
        mlflow_server(folder, store=database, artifacts=artifacts, variables=variables) as uri,
    ):
        yield Servers(uri, database, s3_server)


@pytest.fixture(scope="module")
def registrations(
    servers: Servers, digits: DatasetReference, digits_stats: ChannelStats, tmp_path_factory: pytest.TempPathFactory
) -> list[Registration]:
    """A version, and a better one, each verified in a process of its own; their runs are closed."""
    storage, found = tmp_path_factory.mktemp("storage"), []
    for run_name, steps in (("poor", 2), ("good", 60)):
        run = opened(NAME, run_name, storage, servers.uri, digits)
        trained = trained_model(folder_of(run), digits, digits_stats, steps)
        found.append(register(NAME, inputs_of(digits, digits_stats, NETWORK), DATA, trained, RULE, run, Said()))
        close_tracking_run(NAME, run_name, run_name, str(storage), servers.uri, "SUCCEEDED", "", Said())
    return found


def test_a_better_version_is_promoted_and_its_files_model_follows(
    registrations: list[Registration], servers: Servers
) -> None:
    first, second = registrations
    assert (first.alias, second.alias, second.champion_version_before) == ("champion", "champion", first.model_version)
    assert second.comparison is not None
    client = connect(servers.uri)
    files_version = client.get_model_version(NAME, second.model_version).tags["sanefit.files_version"]
    assert {(name, str(client.get_model_version_by_alias(name, "champion").version)) for name in (NAME, FILES)} == {
        (NAME, second.model_version),
        (FILES, files_version),
    }
    assert files_version != client.get_model_version(NAME, first.model_version).tags["sanefit.files_version"]
    assert "better: test accuracy" in client.get_model_version(NAME, second.model_version).description


def test_versions_are_in_the_database_and_their_files_in_s3(
    registrations: list[Registration], servers: Servers
) -> None:
    engine = sqlalchemy.create_engine(servers.database)
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT name, version FROM model_versions")).all()
        statuses = connection.execute(sqlalchemy.text("SELECT DISTINCT status FROM runs")).scalars().all()
    engine.dispose()
    assert sorted(map(tuple, rows)) == [(NAME, 1), (NAME, 2), (FILES, 1), (FILES, 2)]
    assert statuses == ["FINISHED"]
    client = boto3.client(
        "s3",
        endpoint_url=servers.s3.endpoint,
        aws_access_key_id=servers.s3.access_key,
        aws_secret_access_key=servers.s3.secret_key,
        region_name="us-east-1",
    )
    listed = client.list_objects_v2(Bucket=servers.s3.bucket, Prefix="mlflow/")["Contents"]
    kept = [entry["Key"].rpartition("/")[2] for entry in listed]
    assert kept.count("model.pt2") >= 2 * len(registrations), "NAME's, and the copy in NAME-files"
    assert kept.count("seen_images.npy") == len(registrations)


def test_the_images_that_a_version_was_trained_and_chosen_on_are_on_record(
    registrations: list[Registration], digits: DatasetReference, servers: Servers
) -> None:
    manifest = read_manifest(digits)
    expected: Digests = np.sort(
        np.concatenate([digests_of(digits, split, manifest) for split in ("train", "validation")])
    )
    for registration in registrations:
        seen = read_seen_images(connect(servers.uri), NAME, registration.model_version)
        assert seen is not None
        np.testing.assert_array_equal(seen, expected)


def test_both_models_answer_alike_when_they_are_loaded_by_alias(
    registrations: list[Registration], digits: DatasetReference, servers: Servers
) -> None:
    assert registrations
    connect(servers.uri)
    pixels, labels = read_split(digits, "test")
    probabilities = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(pixels)
    assert np.mean(probabilities.argmax(axis=1) == labels) == registrations[-1].test_accuracy
    files = []
    for image in pixels[:32]:
        buffer = io.BytesIO()
        Image.fromarray(image[:, :, 0]).save(buffer, "PNG")
        files.append(buffer.getvalue())
    answered = mlflow.pyfunc.load_model(f"models:/{FILES}@champion").predict(pd.DataFrame({"image": files}))
    np.testing.assert_allclose(answered["probabilities"].tolist(), probabilities[:32], atol=1e-6)


def sanefit_registry(uri: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "sanefit", "registry", *arguments]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_commands_show_and_roll_back_and_both_models_go_along(
    registrations: list[Registration], servers: Servers
) -> None:
    def champions() -> list[str]:
        client = connect(servers.uri)
        return [str(client.get_model_version_by_alias(name, "champion").version) for name in (NAME, FILES)]

    first, second = registrations
    assert champions() == ["2", "2"]
    assert sanefit_registry(servers.uri, "show", NAME).splitlines() == [
        f"    1  test accuracy {first.test_accuracy:.4f}",
        f"    2  test accuracy {second.test_accuracy:.4f}  champion",
    ]
    rolled_back = json.loads(sanefit_registry(servers.uri, "rollback", NAME, "--reason", "calls 3 an 8", "--json"))
    assert (rolled_back["champion"], rolled_back["replaced"]) == ("1", "2")
    assert champions() == ["1", "1"]
    *runs, by_hand = sanefit_registry(servers.uri, "history", NAME).splitlines()
    assert [line.split("  ", 1)[1] for line in runs] == [
        f"version 1, by run: {first.reason}",
        f"version 2 over 1, by run: {second.reason}",
    ]
    assert "version 1 over 2, by " in by_hand
    assert by_hand.endswith(": calls 3 an 8")
    sanefit_registry(servers.uri, "rollback", NAME)
    assert champions() == ["2", "2"]
