"""What is in the images, and what is not."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from built_images import Images
from container_engine import ROOT, ContainerEngine

from sanefit import __version__
from sanefit.components.foundation.image_dataset import sources
from sanefit.components.foundation.schemas.sources import SOURCES

pytestmark = pytest.mark.containers

HERE = Path(__file__).parent
IMAGES = ("data", "trainer")
SERVICES = {"data": [], "trainer": ["sanefit.components.model_registry.serving"]}  # k8s/components/serving
LOCKED_DOWN = (
    *("--rm", "--interactive", "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,mode=1777"),
    *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"),
)
FIND_UNWANTED = """
find / -xdev \\( -name '*.whl' -o -name 'cc' -o -name 'gcc*' -o -name 'c++' -o -name 'make' -o -name 'ld' \\
    -o -name 'pip' -o -name 'pip3*' -o -name 'ensurepip' -o -path '*/.cache/*' -o -path '/var/lib/apt/lists/*' \\
    -o -path '/run/secrets/*' -o -path '/tmp/*' \\) -not -path '/proc/*' -not -path '/usr/share/*' \\
    -not -path '/etc/*' -not -path '/var/lib/dpkg/*'
"""


def reference(images: Images, name: str) -> str:
    return {"data": images.data, "trainer": images.trainer}[name]


def configuration(engine: ContainerEngine, image: str) -> dict[str, Any]:
    [inspected] = json.loads(engine.podman("image", "inspect", image))
    return dict(inspected)


def size(engine: ContainerEngine, image: str) -> int:
    """Bytes, not compressed."""
    return int(configuration(engine, image)["Size"])


def run(engine: ContainerEngine, image: str, *command: str, text: str | None = None) -> str:
    """What a command prints in a container as a step gets it."""
    return engine.podman("run", *LOCKED_DOWN, image, *command, text=text)


def step_modules(image: str) -> list[str]:
    """What the bodies of an image's tasks import, from their source; the snapshot's loads sources by name."""
    found = {f"{sources.__name__}.{kind.module}" for kind in SOURCES if image == "trainer"}
    for path in [*ROOT.glob("components/*/component.py"), ROOT / "pipeline" / "shared_tasks.py"]:
        for function in ast.parse(path.read_text()).body:
            if isinstance(function, ast.FunctionDef) and f"sanefit-{image}" in ast.unparse(function.decorator_list[0]):
                found |= {node.module or "" for node in ast.walk(function) if isinstance(node, ast.ImportFrom)}
    return sorted(found)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_its_own_user_and_starts_nothing(engine: ContainerEngine, images: Images, name: str) -> None:
    config = configuration(engine, reference(images, name))["Config"]
    assert config["User"] == "10001:10001"
    assert not config.get("Entrypoint")
    assert "Healthcheck" not in config
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    assert environment["HOME"] == "/tmp"
    assert environment["PATH"].startswith("/opt/venv/bin:")
    assert environment["PYTHONUNBUFFERED"] == "1"
    shown = run(engine, reference(images, name), "sh", "-c", "id -u; id -g; id -un; touch /x 2>&1 || true")
    assert shown.split()[:3] == ["10001", "10001", "sanefit"]
    assert "Read-only file system" in shown


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_says_what_it_is(engine: ContainerEngine, images: Images, name: str) -> None:
    labels = configuration(engine, reference(images, name))["Labels"]
    prefix = "org.opencontainers.image."
    told = {key.removeprefix(prefix): value for key, value in labels.items() if key.startswith(prefix)}
    assert told["title"] == f"sanefit-{name}"
    assert told["version"] == __version__
    assert told["licenses"] == "Apache-2.0"
    assert told["base.name"] == images.base
    commit = engine.run("git", "rev-parse", "HEAD").strip()
    assert told["revision"] in (commit, f"{commit}-dirty")


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_no_pip_no_compiler_and_no_cache(engine: ContainerEngine, images: Images, name: str) -> None:
    image = reference(images, name)
    found = engine.podman("run", "--rm", "--user=0", "--network=none", image, "sh", "-c", FIND_UNWANTED)
    assert found == ""
    tried = run(engine, image, "sh", "-c", "python3 -m pip --version 2>&1 || echo refused")
    assert "No module named pip" in tried


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_tells_nothing_of_the_build(engine: ContainerEngine, images: Images, name: str) -> None:
    image = reference(images, name)
    told = engine.podman("history", "--no-trunc", image) + json.dumps(configuration(engine, image))
    addresses = re.findall(r"https?://[^\s/]+", images.secret)
    assert [address for address in addresses if address in told] == []


@pytest.mark.parametrize("name", IMAGES)
def test_every_step_imports_what_it_needs(engine: ContainerEngine, images: Images, name: str) -> None:
    modules = [*step_modules(name), *SERVICES[name]]
    assert len(modules) >= {"data": 1, "trainer": 15}[name]
    script = (HERE / "step_imports.py").read_text()
    command = ["env", "_KFP_RUNTIME=true", "python3", "-", "kfp.dsl.executor_main", *modules]
    found = json.loads(run(engine, reference(images, name), *command, text=script).splitlines()[-1])
    assert found["torch"] == (name == "trainer")
    assert found["not_compiled"] == []


def test_the_data_image_has_no_torch_and_no_cuda(engine: ContainerEngine, images: Images) -> None:
    listed = run(engine, images.data, "sh", "-c", "ls /opt/venv/lib/python3.11/site-packages")
    assert re.findall(r"(?im)^(?:torch|nvidia|triton|cuda|mlflow).*$", listed) == []


def test_the_data_image_is_small(engine: ContainerEngine, images: Images) -> None:
    assert size(engine, images.data) - size(engine, images.base) <= 160e6


def test_the_trainer_image_is_little_more_than_torch(engine: ContainerEngine, images: Images) -> None:
    script = (HERE / "installed_size.py").read_text()
    torch = json.loads(run(engine, images.trainer, "python3", "-", "torch", "torchvision", text=script))
    assert {"torch", "torchvision", "numpy", "triton"} <= set(torch["packages"])
    assert size(engine, images.trainer) - size(engine, images.base) <= 1.12 * torch["bytes"]
