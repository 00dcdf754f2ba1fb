"""sanefit, installed in every way, beside a project whose packages have the names of our folders."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from source_tree import ROOT, copy_tree, tracked_files

pytestmark = pytest.mark.slow

PUSHED = "sanefit/pipeline/pushed_images.json"

# A project of a user's: `components`, `pipeline` and `tests` are its own, and only its own code may import them.
USERS_FILES = {
    "components/__init__.py": "",
    "components/foundation.py": "raise RuntimeError('sanefit imported components.foundation of the project')",
    "components/layers.py": "from torch import nn\n\nscores = nn.Linear\n",
    "pipeline/__init__.py": "raise RuntimeError('sanefit imported pipeline of the project')",
    "tests/__init__.py": "raise RuntimeError('sanefit imported tests of the project')",
    "my_networks.py": """
import math
from torch import nn
from components.layers import scores

class Net(nn.Sequential):
    def __init__(self, image_shape, classes, hidden):
        super().__init__(nn.Flatten(), nn.Linear(math.prod(image_shape), hidden), nn.ReLU(), scores(hidden, classes))
""",
}
OWN_NETWORK = "network={kind: module, path: 'my_networks:Net', arguments: {hidden: 64}}"


def packaged() -> list[str]:
    """What an installation must hold: every file of the two folders, and what lies beside the links."""
    folders = ("components/", "pipeline/")
    ours = [f"sanefit/{name}" for name in tracked_files() if name.startswith(folders)]
    beside = [f"sanefit/{name}" for name in ("__init__.py", "__main__.py", "py.typed")]
    return sorted([*ours, *beside, PUSHED])


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as git has it, links as links, after `make push`."""
    root = copy_tree(tmp_path_factory.mktemp("source"))
    (root / "pipeline" / "pushed_images.json").write_text("{}")
    return root


def build(source: Path, target: str, folder: Path) -> Path:
    """Build with hatchling; the one file that came of it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)], cwd=source, check=True
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source_tree, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source_tree, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel_of_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel_of_sdist"))


def contents(wheel: Path) -> dict[str, int]:
    """Name and CRC of each file but the metadata, which say how they came about."""
    with zipfile.ZipFile(wheel) as archive:
        found = [(file.filename, file.CRC) for file in archive.infolist() if ".dist-info/" not in file.filename]
    assert len(dict(found)) == len(found), "a file is in it twice"
    return dict(found)


def test_a_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    assert sorted(contents(wheel)) == packaged()


def test_a_wheel_is_the_same_when_it_is_built_from_the_sdist(wheel: Path, wheel_of_sdist: Path) -> None:
    assert contents(wheel_of_sdist) == contents(wheel)


def installed(folder: Path, *arguments: str) -> Path:
    """Install into a new environment that has our dependencies, but not sanefit itself; its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Files *.pth in these folders are not read: an editable sanefit is not found through them.
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--quiet"]
    program = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", *offline]
    subprocess.run([*program, *arguments], env=environment(), check=True)
    return folder / "bin"


def environment() -> dict[str, str]:
    """Without what this process was told; mlflow, used by another test in it, writes its variable, too."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    return kept | {"OMP_NUM_THREADS": "1"}  # small networks: threads would wait for each other


@pytest.fixture(scope="module", params=["wheel", "wheel_of_sdist", "editable"])
def programs(request: pytest.FixtureRequest, source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    if request.param == "editable":
        return installed(folder, "--editable", str(source_tree))
    return installed(folder, str(request.getfixturevalue(request.param)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in USERS_FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("python_path", [{}, {"PYTHONPATH": "."}], ids=["without PYTHONPATH", "with PYTHONPATH=."])
def test_an_installed_command_uses_its_own_code_and_the_projects_network(
    programs: Path, project: Path, python_path: dict[str, str]
) -> None:
    def sanefit(*arguments: str) -> str:
        finished = subprocess.run(
            [programs / "sanefit", *arguments],
            cwd=project,
            env=environment() | python_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    assert "lecture" in sanefit("--help")
    where = subprocess.check_output(
        [programs / "python", "-c", "import sanefit; print(sanefit.__file__)"], env=environment(), text=True
    )
    assert not Path(where).is_relative_to(ROOT)
    assert '"status": "succeeded"' in sanefit("check", "--json", "--set", OWN_NETWORK)
