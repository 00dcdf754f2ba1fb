"""Both images, built once per session, and what the pipeline needs to run in them."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from built_images import Images
from container_engine import ContainerEngine, engine_with_storage
from foundation.conftest import s3_server  # noqa: F401
from package_index import build_secrets
from servers import mlflow_server, running

from sanefit.pipeline.container_images import ContainerImages

TOOLS = ("buildah", "podman", "runc", "debootstrap", "docker-registry", "git", "make")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sanefit-test-containers"
STAND_IN = Path(__file__).with_name("make_stand_in_base.sh")


@pytest.hookimpl(tryfirst=True)  # before any fixture
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs containers where there can be none."""
    if item.get_closest_marker("containers") is None:
        return
    if os.geteuid() != 0:
        pytest.skip("containers cannot be built and run here: not root")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"containers cannot be built and run here: {', '.join(missing)} not installed")


@pytest.fixture(scope="session")
def engine() -> Iterator[ContainerEngine]:
    """Podman and buildah with a storage that is kept for the next session, for one session at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        engine = engine_with_storage(CACHE)
        yield engine
        engine.podman("rm", "--all", "--force")
        engine.podman("image", "prune", "--force")


@pytest.fixture(scope="session")
def base(engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A stand-in for python:3.11-slim, made again when its recipe has changed."""
    name = f"localhost/stand-in-python:{hashlib.sha256(STAND_IN.read_bytes()).hexdigest()[:16]}"
    if name not in engine.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        tar = tmp_path_factory.mktemp("base") / "root.tar"
        engine.run(str(STAND_IN), str(tar))
        engine.podman("import", str(tar), name)
        tar.unlink()
    return name


@pytest.fixture(scope="session")
def images(engine: ContainerEngine, base: str, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Both images, as ``make images`` builds them."""
    started = time.monotonic()
    with build_secrets(tmp_path_factory.mktemp("build")) as secrets:
        engine.run(
            *("make", "images"),
            ENGINE="buildah",
            BASE_IMAGE=base,
            LOCAL_BASE="1",
            PIP_CONFIG_FILE=str(secrets.pip_configuration),
            CA_BUNDLE=str(secrets.certificates),
        )
        secret = secrets.pip_configuration.read_text()
    seconds = time.monotonic() - started
    built = ContainerImages()
    return Images(base, f"localhost/{built.data}", f"localhost/{built.trainer}", seconds, secret)


@pytest.fixture(scope="session")
def docker_host(engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Podman behind Docker's interface."""
    folder = tmp_path_factory.mktemp("podman")
    url = f"unix://{folder}/socket"

    def ready() -> bool:
        try:
            with contextlib.closing(docker.DockerClient(url)) as client:
                return bool(client.ping())
        except docker.errors.DockerException:
            return False

    with running(["podman", "system", "service", "--time=0", url], engine.environment, folder / "log", ready):
        yield url


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri
