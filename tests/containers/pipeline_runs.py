"""Runs the pipeline with kfp's DockerRunner, every task in a container without privileges."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from foundation.conftest import S3Server
from kfp import local
from kfp.local import docker_task_handler
from task_containers import NO_PRIVILEGES, Script, TaskContainer, container_runner

from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.placement import Placement
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


@dataclass(frozen=True)
class Place:
    """Where a run's steps run and keep what they find.

    ``storage``: empty for one in S3. ``mounts``, ``scripts``: as for ``container_runner``.
    """

    storage: str = ""
    images: ContainerImages = field(default_factory=ContainerImages)
    mounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)


IN_S3 = Place()


def run_in_containers(
    services: Services,
    folder: Path,
    run_name: str,
    overrides: Sequence[str],
    changes: Mapping[str, Mapping[str, object]],
    place: Place = IN_S3,
) -> ContainerRun:
    """Run the whole DAG.

    Args:
        services: storage, MLflow, and who runs containers.
        folder: where kfp keeps the tasks' outputs; every container sees it.
        run_name: unique.
        overrides: of the digits' configuration.
        changes: container arguments of single steps.
        place: otherwise than in S3, in the images as they are built.
    """
    folder.chmod(0o777)
    storage = place.storage or f"s3://{services.s3.bucket}/containers"
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
        patch.setattr(
            docker_task_handler, "run_docker_container", container_runner(ran, changes, place.mounts, place.scripts)
        )
        environment = {} if place.storage else services.environment()
        runner = local.DockerRunner(environment=environment, **NO_PRIVILEGES)
        local.init(runner, pipeline_root=str(folder))
        succeeded = _succeeds(training_pipeline(Placement(None, place.images), config.search), arguments)
    return ContainerRun(succeeded, output.getvalue(), ran, run_name, storage)


def _succeeds(pipeline: Any, arguments: Mapping[str, Any]) -> bool:
    try:
        pipeline(**arguments)
    except RuntimeError as error:  # how kfp.local says that a task failed
        print(error)
        return False
    return True
