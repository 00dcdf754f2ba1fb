"""Push to a real registry, and what the pipeline then names. The script does not mind what is in an image."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from container_engine import ROOT, ContainerEngine, engine_with_storage
from servers import registry

from sanefit import __version__

pytestmark = pytest.mark.containers

NAMES = ("data", "trainer")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def two_images(tmp_path: Path) -> Iterator[ContainerEngine]:
    """An engine that has one small image for each name."""
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = engine_with_storage(folder / "storage")
    for name in NAMES:
        (folder / name).write_text(name)
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            tar.add(folder / name, name)
        engine.podman("import", str(folder / f"{name}.tar"), f"sanefit-{name}:{__version__}")
    yield engine
    engine.podman("system", "reset", "--force")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy, for the push writes into the project."""
    for folder in ("images", "pipeline", "components", "src"):
        shutil.copytree(ROOT / folder, tmp_path / "project" / folder, symlinks=True)
    (tmp_path / "project" / "pipeline" / "pushed_images.json").unlink(missing_ok=True)
    return tmp_path / "project"


def push(project: Path, engine: ContainerEngine, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**engine.environment, "EXTRA_PUSH_ARGS": "--tls-verify=false", **settings}
    script = project / "images" / "push.sh"
    return subprocess.run([script], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", ["buildah", "podman"])
def test_pushed_images_are_what_the_pipeline_names(
    two_images: ContainerEngine, address: str, project: Path, tool: str
) -> None:
    pushed = push(project, two_images, ENGINE=tool, REGISTRY=f"{address}/team")
    assert pushed.returncode == 0, pushed.stderr
    written = json.loads((project / "pipeline" / "pushed_images.json").read_text())
    assert pushed.stdout.splitlines() == [written["data"], written["trainer"]]
    assert written["version"] == __version__
    for name in NAMES:
        assert written[name].startswith(f"{address}/team/sanefit-{name}@sha256:")
        two_images.podman("pull", "--tls-verify=false", written[name])
    compiled = project / "pipeline.yaml"
    subprocess.run(
        [sys.executable, "-m", "sanefit", "compile", "-o", str(compiled)],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(project / "src")},
        check=True,
        capture_output=True,
    )
    executors = next(yaml.safe_load_all(compiled.read_text()))["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {written["data"], written["trainer"]}


def test_a_push_that_fails_leaves_the_last_one(two_images: ContainerEngine, address: str, project: Path) -> None:
    kept = project / "pipeline" / "pushed_images.json"
    kept.write_text("kept")
    for refused in ({"REGISTRY": "127.0.0.1:1/team"}, {"REGISTRY": ""}, {"REGISTRY": "Upper.example/X"}):
        assert push(project, two_images, ENGINE="podman", **refused).returncode != 0
        assert kept.read_text() == "kept"
    assert [path.name for path in kept.parent.iterdir() if path.name.startswith(".push")] == []
    two_images.podman("untag", f"sanefit-trainer:{__version__}")
    refused_push = push(project, two_images, ENGINE="podman", REGISTRY=f"{address}/team")
    assert refused_push.returncode == 2
    assert f"sanefit-trainer:{__version__}" in refused_push.stderr
    assert refused_push.stderr.count("\n") == 1
    assert kept.read_text() == "kept"
