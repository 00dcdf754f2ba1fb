"""The whole DAG on the real digits, through the command."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import SMALL, Command, sanefit
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from mlflow import MlflowClient

from sanefit.components.foundation.image_dataset.splits import split_of
from sanefit.components.foundation.schemas.images import SPLITS
from sanefit.components.foundation.storage.layout import RunFolder
from sanefit.components.foundation.storage.run_record import read_run_record

pytestmark = pytest.mark.slow

PREDICT = """
import json, sys
import mlflow, numpy
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/digits@champion")
probabilities = model.predict(numpy.load(sys.argv[2]))
assert numpy.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
print(json.dumps([probabilities.argmax(axis=1).tolist(), model.metadata.metadata["class_names"]]))
"""


def tracking_uri(workdir: Path) -> str:
    return f"sqlite:///{workdir / 'mlflow.db'}"


def trial_files(result: dict[str, Any]) -> dict[str, Any]:
    """Every pack's results without what depends on the clock."""
    packs = {path.name: json.loads(path.read_text()) for path in Path(result["run_dir"]).glob("trials/*-pack-???.json")}
    for pack in packs.values():
        for trial in pack["results"]:
            del trial["seconds"]
    return packs


def digits_test_split() -> tuple[np.ndarray, list[str]]:
    """The test images, read from scikit-learn again and split by the published rule."""
    import hashlib

    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    pixels = np.rint(scans * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    chosen = [i for i, p in enumerate(pixels) if split_of(hashlib.sha256(p.tobytes()).digest(), 0.15, 0.15) == "test"]
    return pixels[chosen], [str(labels[i]) for i in chosen]


def test_the_json_says_how_it_went(first_run: Command) -> None:
    assert first_run.status == 0, first_run.stderr
    result = first_run.result
    assert result["status"] == "succeeded"
    assert result["test_accuracy"] > 0.95
    assert result["validation_accuracy"] > 0.95
    assert result["model_uri"] == "models:/digits/1"
    assert (result["model_version"], result["alias"]) == ("1", "champion")
    assert 0 < result["outside_share"] < 1
    steps = {step["step"] for step in result["steps"]}
    assert {"snapshot", "stats", "sanity", "gate", "coarse pack 1", "fine pack 2", "train", "register"} <= steps
    assert len(first_run.stdout.splitlines()) == 1


def test_every_trial_gets_a_line_in_the_lectures_form(first_run: Command) -> None:
    number = r"\d\.\d{6}e[-+]\d\d"
    form = rf"validation_accuracy: 0\.\d{{6}}, learning_rate: {number}, weight_decay: {number}, \((\d+) / (\d+)\)"
    numbers = re.findall(form, first_run.stderr)
    assert sorted(numbers) == sorted([(str(i), "6") for i in range(1, 7)] + [(str(i), "4") for i in range(1, 5)])


def test_a_fresh_process_gets_exactly_the_reported_accuracy(first_run: Command, workdir: Path, tmp_path: Path) -> None:
    pixels, labels = digits_test_split()
    np.save(tmp_path / "pixels.npy", pixels)
    command = [sys.executable, "-c", PREDICT, tracking_uri(workdir), str(tmp_path / "pixels.npy")]
    # In another folder: what is registered does not need this project's code.
    answer = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=120)
    predicted, class_names = json.loads(answer.stdout.splitlines()[-1])
    correct = sum(class_names[p] == label for p, label in zip(predicted, labels, strict=True))
    assert correct / len(labels) == first_run.result["test_accuracy"]


def test_the_model_is_certified_and_the_key_that_signed_is_nowhere(
    first_run: Command, workdir: Path, signing_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    public_key = tmp_path / "signing-key.pub.pem"
    public_key.write_bytes(signing_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    verified = sanefit(
        "verify", "models:/digits/1", "--public-key", str(public_key), "--workdir", str(workdir), "--json"
    )
    assert verified.status == 0, verified.stderr
    said = verified.result
    assert (said["signature"], {item["state"] for item in said["items"]}) == ("valid", {"same"})
    certificate = said["certificate"]
    assert [check["verdict"] for check in certificate["checks"]] == ["pass"] * 17
    assert certificate["settings"]["final.epochs"] == "8"
    assert {"images", "code", "torch", "configuration", "seed"} == certificate["identity"].keys()
    assert certificate["hardware"]["training"] == certificate["hardware"]["registration"] != ""
    assert certificate["test"]["accuracy"] == first_run.result["test_accuracy"]

    raw = signing_key.private_bytes_raw()
    pem = signing_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    canaries = [raw, raw.hex().encode(), pem.splitlines()[1]]
    files = [path for path in workdir.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if any(canary in path.read_bytes() for canary in canaries)] == []
    assert not any(canary.decode("latin-1") in first_run.stdout + first_run.stderr for canary in canaries)


def test_mlflow_holds_the_run_its_trials_and_their_curves(first_run: Command, workdir: Path) -> None:
    client = MlflowClient(tracking_uri(workdir))
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    name = Path(first_run.result["run_dir"]).name
    [parent] = client.search_runs([experiment.experiment_id], f"tags.`sanefit.run` = '{name}'")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["search.coarse.trials"] == "6"
    assert parent.data.metrics["test_accuracy"] == first_run.result["test_accuracy"]
    assert "report.html" in [item.path for item in client.list_artifacts(parent.info.run_id)]
    children = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    names = sorted(child.info.run_name for child in children)
    assert names == [*(f"coarse-{i:04d}" for i in range(6)), "final", *(f"fine-{i:04d}" for i in range(4))]
    fine = next(child for child in children if child.info.run_name == "fine-0000")
    assert len(client.get_metric_history(fine.info.run_id, "validation_accuracy")) == 3


class Links(HTMLParser):
    """Everything that a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.figures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.figures += tag == "svg"
        for name, value in attrs:
            is_link = name in ("src", "href", "xlink:href") and value is not None
            if is_link and not value.startswith(("#", "data:")):
                self.fetched.append(value)


def test_the_report_is_one_self_contained_page(first_run: Command) -> None:
    html = Path(first_run.result["report"]).read_text()
    links = Links()
    links.feed(html)
    assert links.fetched == []
    # Histogram, probe, two scatters, the best trial's curves of both stages, the final curves.
    assert links.figures == 8
    for heading in ("Data", "Channel statistics", "Checks", "Coarse search", "Fine search", "Final training"):
        assert f"<h2>{heading}</h2>" in html
    assert f"{first_run.result['test_accuracy']:.4f}" in html


def test_the_same_seed_gives_the_same_run(first_run: Command, second_run: Command) -> None:
    first, second = first_run.result, second_run.result
    assert len(trial_files(first)) == 4
    assert trial_files(first) == trial_files(second)
    for key in ("fingerprint", "test_accuracy", "validation_accuracy"):
        assert first[key] == second[key]


def test_an_equal_model_does_not_replace_the_champion(second_run: Command, workdir: Path) -> None:
    assert second_run.result["alias"] == "challenger"
    client = MlflowClient(tracking_uri(workdir))
    assert str(client.get_model_version_by_alias("digits", "champion").version) == "1"
    assert str(client.get_model_version_by_alias("digits", "challenger").version) == "2"


def test_a_run_without_news_ends_at_once_when_asked(second_run: Command, workdir: Path) -> None:
    assert second_run.status == 0
    skipping = ("run", "--workdir", str(workdir), "--set", "skip_unchanged=true")
    unchanged = sanefit(*skipping, "--json", sets=SMALL)
    assert (unchanged.status, unchanged.result["status"], unchanged.result["nothing_new"]) == (0, "succeeded", True)
    steps = {"snapshot", "identity", "compare", "close run", "orchestration"}
    assert {step["step"] for step in unchanged.result["steps"]} <= steps
    [compared] = read_run_record(RunFolder(unchanged.result["run_dir"])).steps
    assert compared.said.startswith(
        f"nothing new: run {Path(second_run.result['run_dir']).name!r}, which gave version 2,"
    )
    for_a_reader = sanefit(*skipping, sets=SMALL)
    assert (for_a_reader.status, "nothing new" in for_a_reader.stdout.splitlines()[-3]) == (0, True)
    client = MlflowClient(tracking_uri(workdir))
    versions = client.search_model_versions("name = 'digits'")
    assert sorted(str(version.version) for version in versions) == ["1", "2"]


def test_a_run_whose_images_have_not_drifted_ends_at_once_when_asked(first_run: Command, workdir: Path) -> None:
    """Whatever else is new: here the seed."""
    assert first_run.status == 0
    asked = ("run", "--workdir", str(workdir), "--set", "drift.retrain_when=drifted", "--set", "seed=77", "--json")
    ended = sanefit(*asked, sets=SMALL)
    assert (ended.status, ended.result["status"], ended.result["nothing_new"]) == (0, "succeeded", True)
    [compared] = read_run_record(RunFolder(ended.result["run_dir"])).steps
    assert compared.step == "drift"
    assert "320 of 320 images that are new to it: not drifted: nearest to it is " in compared.said
    same = sanefit("drift", "models:/digits@champion", "digits", "--workdir", str(workdir))
    assert (same.status, same.stdout.splitlines()[-1].startswith("not drifted: ")) == (0, True)


def test_nothing_is_left_in_the_temporary_folder(first_run: Command) -> None:
    names = {path.name for path in Path(first_run.result["run_dir"]).iterdir()}
    assert names == {
        *("progress", "results", "steps", "tasks", "trials"),
        *("report.html", "run.log", "summary.json", "suspected-labels.csv", "weights.pt"),
    }


def test_the_split_is_the_one_in_the_snapshot(first_run: Command, workdir: Path) -> None:
    assert first_run.status == 0
    [manifest] = workdir.glob("snapshots/*/manifest.json")
    counts = json.loads(manifest.read_text())["images_per_class"]
    assert sum(sum(counts[split].values()) for split in SPLITS) == 1797
    assert sum(counts["test"].values()) == len(digits_test_split()[1])


def test_report_finds_the_page(first_run: Command, workdir: Path) -> None:
    name = Path(first_run.result["run_dir"]).name
    command = sanefit("report", name, "--json", "--workdir", str(workdir))
    assert json.loads(command.stdout)["report"] == first_run.result["report"]
