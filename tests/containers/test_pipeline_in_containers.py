"""The whole DAG on the digits, every step in a container of its own image."""

from collections import Counter
from pathlib import Path

import boto3
import mlflow
import pytest
from built_images import Images
from container_engine import ContainerEngine
from foundation.conftest import S3Server
from pipeline_runs import ContainerRun, Services, run_in_containers
from task_containers import ProcessFacts

pytestmark = pytest.mark.containers

SMALL = [
    "search.coarse.trials=4",
    "search.coarse.epochs=1",
    "search.fine.trials=2",
    "search.fine.epochs=2",
    "final.epochs=4",
]
DATA_TASKS = {"channel_stats": 1}
TRAINER_TASKS = {
    "prepare": 1,
    "sanity": 1,
    "coarse_pack": 2,
    "narrow_search": 1,
    "fine_pack": 2,
    "final_training": 1,
    "register_model": 1,
    "close_run": 1,
}
LOCKED_DOWN = ProcessFacts(user=10001, group=10001, capabilities=0, no_new_privileges=True, read_only_root=True)


@pytest.fixture(scope="module")
def services(docker_host: str, tracking_uri: str, s3_server: S3Server, images: Images) -> Services:  # noqa: ARG001
    return Services(docker_host, tracking_uri, s3_server)


@pytest.fixture(scope="module")
def whole_run(services: Services, tmp_path_factory: pytest.TempPathFactory) -> ContainerRun:
    return run_in_containers(services, tmp_path_factory.mktemp("whole"), "whole", SMALL, {})


def keys(services: Services, run: ContainerRun) -> set[str]:
    """What lies in the run's folder in S3."""
    s3 = boto3.client(
        "s3",
        endpoint_url=services.s3.endpoint,
        aws_access_key_id=services.s3.access_key,
        aws_secret_access_key=services.s3.secret_key,
        region_name="us-east-1",
    )
    prefix = f"{run.storage.removeprefix(f's3://{services.s3.bucket}/')}/runs/{run.name}/"
    listed = s3.list_objects_v2(Bucket=services.s3.bucket, Prefix=prefix)
    return {item["Key"].removeprefix(prefix) for item in listed.get("Contents", [])}


def test_every_task_ran_once_in_its_own_image(engine: ContainerEngine, images: Images, whole_run: ContainerRun) -> None:
    assert whole_run.succeeded, whole_run.output
    ids = {name: engine.podman("image", "inspect", name, "--format", "{{.Id}}").strip() for name in images.both}
    ran = {
        name: Counter(task.step for task in whole_run.tasks if task.image_id == f"sha256:{number}")
        for name, number in ids.items()
    }
    assert ran == {images.data: DATA_TASKS, images.trainer: TRAINER_TASKS}
    assert {task.exit_status for task in whole_run.tasks} == {0}


def test_no_step_had_a_privilege_or_wrote_to_its_root(whole_run: ContainerRun) -> None:
    assert {task.process for task in whole_run.tasks} == {LOCKED_DOWN}


def test_the_run_left_a_registered_model_and_its_report(services: Services, whole_run: ContainerRun) -> None:
    champion = mlflow.MlflowClient(services.tracking_uri).get_model_version_by_alias("digits", "champion")
    assert champion.status == "READY"
    assert {"summary.json", "report.html"} <= keys(services, whole_run)


def test_a_network_that_cannot_learn_is_stopped_at_the_gate(services: Services, tmp_path: Path) -> None:
    run = run_in_containers(services, tmp_path, "zeros", [*SMALL, "network.init=zeros"], {})
    print(run.output)
    assert not run.succeeded
    assert [task.step for task in run.tasks if task.exit_status != 0] == ["sanity"]
    assert "coarse_pack" not in [task.step for task in run.tasks]


def test_a_step_that_fails_is_reported_with_its_reason(services: Services, tmp_path: Path) -> None:
    locked_out = {"channel_stats": {"environment": {**services.environment(), "AWS_SECRET_ACCESS_KEY": "another"}}}
    run = run_in_containers(services, tmp_path, "locked-out", SMALL, locked_out)
    print(run.output)
    assert not run.succeeded
    assert [task.step for task in run.tasks if task.exit_status != 0] == ["channel_stats"]
    assert "SignatureDoesNotMatch" in run.output
