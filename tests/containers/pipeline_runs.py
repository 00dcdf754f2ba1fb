"""Runs the pipeline with kfp's DockerRunner, every task in a container without privileges."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from foundation.conftest import S3Server
from kfp import local
from kfp.local import docker_task_handler
from task_containers import NO_PRIVILEGES, TaskContainer, container_runner

from sanefit.pipeline.placement import ON_THIS_MACHINE
from sanefit.pipeline.settings.run_config import DEFAULT_CONFIG, load_config, pipeline_arguments
from sanefit.pipeline.training_pipeline import training_pipeline


@dataclass(frozen=True)
class ContainerRun:
    """How a run ended, what its tasks printed, and the containers they ran in, in the order they ended."""

    succeeded: bool
    output: str
    tasks: list[TaskContainer]
    name: str
    storage: str


@dataclass(frozen=True)
class Services:
    """What the steps of a run reach."""

    docker_host: str
    tracking_uri: str
    s3: S3Server

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.s3.endpoint,
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def run_in_containers(
    services: Services,
    folder: Path,
    run_name: str,
    overrides: Sequence[str],
    changes: Mapping[str, Mapping[str, object]],
) -> ContainerRun:
    """Run the whole DAG.

    Args:
        services: storage, MLflow, and who runs containers.
        folder: where kfp keeps the tasks' outputs; every container sees it.
        run_name: unique.
        overrides: of the digits' configuration.
        changes: container arguments of single steps.
    """
    folder.chmod(0o777)
    storage = f"s3://{services.s3.bucket}/containers"
    config = load_config(DEFAULT_CONFIG, overrides)
    arguments = {
        **pipeline_arguments(config),
        "run_name": run_name,
        "storage": storage,
        "tracking_uri": services.tracking_uri,
    }
    ran: list[TaskContainer] = []
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setenv("DOCKER_HOST", services.docker_host)
        patch.setattr(docker_task_handler, "run_docker_container", container_runner(ran, changes))
        runner = local.DockerRunner(environment=services.environment(), **NO_PRIVILEGES)
        local.init(runner, pipeline_root=str(folder))
        succeeded = _succeeds(training_pipeline(ON_THIS_MACHINE, config.search), arguments)
    return ContainerRun(succeeded, output.getvalue(), ran, run_name, storage)


def _succeeds(pipeline: Any, arguments: Mapping[str, Any]) -> bool:
    try:
        pipeline(**arguments)
    except RuntimeError as error:  # how kfp.local says that a task failed
        print(error)
        return False
    return True
