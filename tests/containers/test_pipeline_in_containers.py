"""The whole DAG on the digits, every step in a container of its own image."""

from typing import Any

import pytest
from conftest import Images
from pipeline_runs import ContainerRun, Services, run_in_containers

pytestmark = pytest.mark.containers

SMALL = [
    "search.coarse.trials=4",
    "search.coarse.epochs=1",
    "search.fine.trials=2",
    "search.fine.epochs=2",
    "final.epochs=4",
]


@pytest.fixture(scope="session")
def services(docker_host: str, tracking_uri: str, s3_server: Any, images: Images) -> Services:  # noqa: ARG001
    return Services(docker_host, tracking_uri, s3_server)


@pytest.fixture(scope="module")
def whole_run(services: Services, tmp_path_factory: pytest.TempPathFactory) -> ContainerRun:
    return run_in_containers(services, tmp_path_factory.mktemp("whole"), "whole", SMALL, {})


def test_it(whole_run):
    print(whole_run.output)
    for t in whole_run.tasks:
        print(t)
    assert whole_run.succeeded
