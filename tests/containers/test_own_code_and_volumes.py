"""A run as a cluster may want it: a network of one's own, images and storage on volumes, pods that are taken away."""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pytest
from built_images import Images
from container_engine import ROOT, ContainerEngine
from foundation.conftest import S3Server
from PIL import Image
from pipeline_runs import ContainerRun, Place, Services, run_in_containers
from sklearn.datasets import load_digits
from task_containers import Ended, Task

from sanefit.components.foundation.tracking.attached_files import read_attached_of_job
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import find_run
from sanefit.components.foundation.tracking.tags import JOB_TAG, RUN_TAG
from sanefit.pipeline.container_images import ContainerImages
from sanefit.pipeline.kubeflow.runs.cluster_report import REPORT

pytestmark = pytest.mark.containers

OWN_TRAINER = "localhost/own-trainer:1"
NETWORK = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, image_shape, classes, hidden):
        height, width, channels = image_shape
        inputs = height * width * channels
        super().__init__(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
"""
SETTINGS = [
    "name=own-digits",
    "data.source=folder:/mnt/photos",
    "data.image_size=8",
    "network={kind: module, path: 'my_nets.small:Net', arguments: {hidden: 32}}",
    "search.packs=1",
    "search.coarse.trials=4",
    "search.coarse.epochs=1",
    "search.fine.trials=2",
    "search.fine.epochs=2",
    "final.epochs=400",
]
PER_CLASS = 40


@dataclass
class Happened:
    """What the scripted steps saw. ``unbroken``: the storage of a final training that was not told to end."""

    ended: dict[str, Ended] = field(default_factory=dict)
    unbroken: Path = Path()


@pytest.fixture(scope="module")
def own_trainer(engine: ContainerEngine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Built by the two lines of the documentation."""
    folder = tmp_path_factory.mktemp("own")
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    [lines] = re.findall(r"```dockerfile\n(FROM \S+/sanefit-trainer@.*?\nCOPY my_nets /own/my_nets\n)```", text)
    (folder / "Dockerfile").write_text(re.sub("FROM .*", f"FROM {images.trainer}", lines))
    (folder / "my_nets").mkdir()
    (folder / "my_nets" / "small.py").write_text(NETWORK)
    engine.run("buildah", "build", "--pull=never", "--tag", OWN_TRAINER, str(folder))
    return OWN_TRAINER


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits as files, a folder for each class."""
    folder = tmp_path_factory.mktemp("photos")
    folder.chmod(0o755)
    digits = load_digits()
    for label in range(10):
        (folder / str(label)).mkdir()
        for number, pixels in enumerate(digits.images[digits.target == label][:PER_CLASS]):
            Image.fromarray((pixels * 15.9).astype("uint8")).save(folder / str(label) / f"{number:04d}.png")
    return folder


@pytest.fixture(scope="module")
def happened() -> Happened:
    return Happened()


def mounts(photos: Path, storage: Path) -> dict[str, dict[str, str]]:
    """As the pods of a run have two claims, of which one cannot be written."""
    return {
        str(photos): {"bind": "/mnt/photos", "mode": "ro"},
        str(storage): {"bind": "/mnt/runs", "mode": "rw"},
    }


@pytest.fixture(scope="module")
def run(
    docker_host: str,
    tracking_uri: str,
    s3_server: S3Server,
    own_trainer: str,
    photos: Path,
    happened: Happened,
    tmp_path_factory: pytest.TempPathFactory,
) -> ContainerRun:
    storage, unbroken = tmp_path_factory.mktemp("storage"), tmp_path_factory.mktemp("unbroken") / "storage"
    storage.chmod(0o777)

    def pack_without_its_gpu(task: Task) -> Ended:
        happened.ended["without GPU"] = task.run(environment={"SANEFIT_ASKED_FOR": "nvidia.com/gpu: 1"})
        return task.run()

    def training_told_to_end(task: Task) -> Ended:
        shutil.copytree(storage, unbroken)
        for path in (unbroken, *unbroken.rglob("*")):
            shutil.chown(path, 10001, 10001)
        happened.ended["told"] = task.run(told_at="Finished epoch 3 /")
        happened.ended["unbroken"] = Task.run(
            Task(task.step, task.client, task.image, task.command, with_storage(task, unbroken), task.ran)
        )
        happened.unbroken = unbroken
        happened.ended["again"] = task.run()
        return happened.ended["again"]

    def with_storage(task: Task, folder: Path) -> dict[str, Any]:
        volumes = {name: mount for name, mount in task.arguments["volumes"].items() if mount["bind"] != "/mnt/runs"}
        return {**task.arguments, "volumes": {**volumes, str(folder): {"bind": "/mnt/runs", "mode": "rw"}}}

    place = Place(
        storage="/mnt/runs/sanefit",
        images=ContainerImages(trainer=own_trainer),
        mounts=mounts(photos, storage),
        scripts={"coarse_pack": pack_without_its_gpu, "final_training": training_told_to_end},
    )
    services = Services(docker_host, tracking_uri, s3_server)
    folder = tmp_path_factory.mktemp("volumes")
    found = run_in_containers(services, folder, "volumes", SETTINGS, {}, place)
    assert found.succeeded, found.output
    return ContainerRun(found.succeeded, found.output, found.tasks, found.name, str(storage / "sanefit"))


def test_an_own_network_is_trained_and_registered_from_files_on_a_volume(run: ContainerRun, tracking_uri: str) -> None:
    client = mlflow.MlflowClient(tracking_uri)
    champion = client.get_model_version_by_alias("own-digits", "champion")
    registered = client.get_run(champion.run_id)
    assert registered.data.tags[RUN_TAG] == run.name
    assert any("my_nets.small:Net" in value for value in registered.data.params.values())
    assert f"{10 * PER_CLASS} images of 8x8x" in run.output


def test_the_storage_on_a_volume_holds_the_run(run: ContainerRun) -> None:
    folder = Path(run.storage) / "runs" / run.name
    assert {"summary.json", "report.html"} <= {path.name for path in folder.iterdir()}


def test_a_pack_that_asks_for_a_gpu_and_sees_none_ends_in_one_line(run: ContainerRun, happened: Happened) -> None:
    assert run.succeeded
    ended = happened.ended["without GPU"]
    assert ended.exit_status == 1
    assert "Traceback" not in ended.output
    [line] = [line for line in ended.output.splitlines() if "nvidia.com/gpu: 1" in line]
    assert "torch" in line


def test_a_training_told_to_end_goes_on_where_it_was_to_the_same_digits(run: ContainerRun, happened: Happened) -> None:
    told, again, unbroken = (happened.ended[name] for name in ("told", "again", "unbroken"))
    assert (told.exit_status, again.exit_status, unbroken.exit_status) == (1, 0, 0)
    assert "Traceback" not in told.output
    [place] = re.findall(r"told to end \(SIGTERM\) (after (?:batch \d+ of )?epoch \d+)", told.output)[:1]
    assert f"goes on {place} of a training that was interrupted" in again.output
    assert "goes on" not in unbroken.output
    first, second = (
        next(Path(folder).glob(f"runs/{run.name}/weights.pt"))
        for folder in (run.storage, happened.unbroken / "sanefit")
    )
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    results = [
        json.loads(next((Path(folder) / "runs" / run.name).rglob("trained-model*.json")).read_text())
        for folder in (run.storage, happened.unbroken / "sanefit")
    ]
    assert results[0]["epochs"] == results[1]["epochs"]
    assert results[0]["test_accuracy"] == results[1]["test_accuracy"]


def test_the_page_comes_through_mlflows_server_alone(
    run: ContainerRun, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key of S3, and a storage that only pods see."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    found = find_run(connect(tracking_uri), "own-digits", run.name)
    assert found is not None
    page = read_attached_of_job(tracking_uri, found.data.tags[JOB_TAG], REPORT)
    assert page == (Path(run.storage) / "runs" / run.name / "report.html").read_bytes()
