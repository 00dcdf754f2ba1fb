"""What is verified elsewhere: a signature, and everything that can be computed anew."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from certified_version import NAME, NOW, Certified, certified, changed, flipped
from command_in_process import sanefit_here
from command_line import Command
from containers.servers import mlflow_server
from test_certificate import digest_by_hand
from test_signature import KEY, OTHER, pem, public_pem

from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry import certified_snapshot
from sanefit.components.model_registry.api import CheckedCertificate, CheckedItem, check_certificate
from sanefit.components.model_registry.signature import fingerprint_of, is_signed, sign
from sanefit.pipeline.commands.verify import lines_of

pytestmark = pytest.mark.slow

SIGNING = {"SANEFIT_SIGNING_KEY": pem(KEY)}
OTHER_NAME = fingerprint_of(OTHER.public_key())[:16]
URI = f"models:/{NAME}@champion"


@pytest.fixture(scope="module")
def made(storage: Path, uri: str) -> Certified:
    return certified(storage, uri, SIGNING)


@pytest.fixture(scope="module")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "signing-key.pub.pem"
    file.write_bytes(public_pem(KEY))
    return file


def check(made: Certified, model_uri: str = URI) -> CheckedCertificate:
    return check_certificate(connect(made.uri), model_uri, KEY.public_key())


def verify(tracking_uri: str, *arguments: str | Path) -> Command:
    return sanefit_here(tracking_uri, "verify", *arguments)


def verify_elsewhere(tracking_uri: str, *arguments: str | Path) -> Command:
    """In a process of its own, which knows no key that signs."""
    environment = {key: value for key, value in os.environ.items() if key != "SANEFIT_SIGNING_KEY"}
    command = [sys.executable, "-m", "sanefit", "verify", *map(str, arguments)]
    variables = {**environment, "MLFLOW_TRACKING_URI": tracking_uri}
    ran = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    return Command(ran.returncode, ran.stdout, ran.stderr)


def one_line(ran: Command, status: int) -> str:
    assert (ran.status, ran.stdout) == (status, ""), ran.stderr
    [line] = ran.stderr.splitlines()
    assert line.startswith("sanefit: error: ")
    return line


def test_with_the_public_key_alone_all_of_it_is_computed_anew(made: Certified, public_key: Path) -> None:
    ran = verify_elsewhere(made.uri, URI, "--public-key", public_key)
    assert (ran.status, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "signature    valid, by key" in ran.stdout
    assert lines[-1] == f"{URI}: 23 same, 0 different, 0 not available"
    assert f"same           {'test accuracy, scored':<26}{made.registration.test_accuracy:.6f}" in lines
    assert f"same           {'weights':<26}" in ran.stdout
    assert not any(line in ran.stdout for line in pem(KEY).splitlines())


def test_long_names_and_values_fit_into_80_columns(made: Certified) -> None:
    checked = check(made)
    name, value = "files of " + "a-model-with-a-rather-long-name-" * 3, "s3://bucket/" + "folder/" * 20
    items = [
        CheckedItem(name, "same", "1", "1"),
        CheckedItem(name, "differs", value, "f" * 64),
        CheckedItem("weights", "not available", value, why=f"cannot read '{value}'"),
        CheckedItem("weights", "same", value, value),
    ]
    lines = list(lines_of(name, dataclasses.replace(checked, items=items)))
    assert max(len(line) for line in lines[:-1]) <= 80
    text = "".join("".join(lines).split())
    assert (text.count(name.replace(" ", "")), text.count(value), text.count("f" * 64)) == (3, 4, 1)


def test_the_json_has_both_values_of_each(made: Certified, public_key: Path) -> None:
    ran = verify(made.uri, "models:/signed-files/1", "--public-key", public_key, "--json")
    [line] = ran.stdout.splitlines()
    said = json.loads(line)
    assert (ran.status, said["status"], said["signature"]) == (0, "succeeded", "valid")
    assert said["certificate"] == json.loads(made.certificate.read_text())
    by_name = {item["name"]: item for item in said["items"]}
    assert by_name["version"] == {
        "name": "version",
        "state": "same",
        "certified": "signed-files 1",
        "found": "signed-files 1",
        "why": "",
    }
    assert all(item["state"] == "same" and item["certified"] == item["found"] for item in said["items"])
    assert by_name["weights"]["found"] == said["certificate"]["digests"]["weights"]


def test_every_flipped_byte_of_the_stored_files_fails(made: Certified) -> None:
    content, signature, key = made.certificate.read_bytes(), made.signature.read_bytes(), KEY.public_key()
    assert is_signed(content, signature, key)
    assert not any(is_signed(flipped(content, place), signature, key) for place in range(len(content)))
    assert not any(is_signed(content, flipped(signature, place), key) for place in range(len(signature)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: changed(made.certificate, flipped(made.certificate.read_bytes(), 700)), "was changed afterwards"),
        (lambda made: changed(made.signature, flipped(made.signature.read_bytes(), 10)), "was changed afterwards"),
        (lambda made: changed(made.signature, flipped(made.signature.read_bytes(), 100)), "it names key"),
        (lambda made: changed(made.signature, b""), "was changed afterwards"),
        (lambda made: changed(made.signature, None), "is not signed"),
        (
            lambda made: changed(made.signature, sign(made.certificate.read_bytes(), OTHER)),
            f"it names key {OTHER_NAME}",
        ),
        (lambda made: changed(made.certificate, None), "no certificate can be read"),
    ],
    ids=["certificate", "signature", "fingerprint", "empty", "unsigned", "another key", "none"],
)
def test_what_the_key_did_not_sign_is_one_line(
    change: Callable[[Certified], object], said: str, made: Certified, public_key: Path
) -> None:
    with change(made):  # type: ignore[attr-defined]
        line = one_line(verify(made.uri, URI, "--public-key", public_key), 1)
    assert said in line


def test_another_public_key_verifies_nothing(made: Certified, tmp_path: Path) -> None:
    file = tmp_path / "other.pem"
    file.write_bytes(public_pem(OTHER))
    assert f"its certificate is not what key {OTHER_NAME} signed" in one_line(
        verify(made.uri, URI, "--public-key", file), 1
    )


def test_without_a_public_key_a_signature_is_not_verified_and_that_is_said(made: Certified) -> None:
    ran = verify(made.uri, URI)
    assert ran.status == 0
    assert "signature    not verified, by key" in ran.stdout
    assert "--public-key FILE verifies it" in ran.stdout
    with changed(made.signature, None):
        assert "signature    none" in verify(made.uri, URI).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["signed"], "'signed' names no model; expected models:/NAME@champion"),
        (["models:/signed/9"], "'models:/signed/9': "),
        (["models:/nobody@champion"], "'models:/nobody@champion': "),
        ([URI, "--public-key", "/no/such.pem"], "--public-key '/no/such.pem': No such file"),
    ],
)
def test_what_cannot_be_verified_is_one_line(made: Certified, arguments: list[str], said: str) -> None:
    assert said in one_line(verify(made.uri, *arguments), 2)


def artifacts(made: Certified, name: str) -> Path:
    uri = connect(made.uri).get_model_version_download_uri(name, "1")
    return Path(uri.removeprefix("file://"))


def snapshot(made: Certified) -> Path:
    return made.storage / "snapshots" / made.evidence.inputs.dataset.fingerprint[:16]


def shard(made: Certified) -> Path:
    return made.storage / made.evidence.inputs.manifest.shards[0].path


CODE = "code/sanefit/components/foundation/image_dataset/prepared_pixels.py"
TAMPERED: dict[str, tuple[Callable[[Certified], Path], list[str]]] = {
    "pixels model": (lambda made: artifacts(made, NAME) / "data" / "model.pt2", [f"files of {NAME}"]),
    "code of the files model": (lambda made: artifacts(made, f"{NAME}-files") / CODE, [f"files of {NAME}-files"]),
    "images it was trained on": (lambda made: made.files / "training" / "seen_images.npy", ["record of seen images"]),
    "what drift is compared with": (lambda made: made.files / "drift" / "reference.npz", ["drift reference"]),
    "weights": (lambda made: Path(made.evidence.trained.weights_uri), ["weights"]),
    "index of a split": (
        lambda made: snapshot(made) / made.evidence.inputs.manifest.splits["train"].index_file,
        ["train split"],
    ),
    "pixels": (shard, ["test accuracy, scored"]),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_file_differs(what: str, made: Certified) -> None:
    place, expected = TAMPERED[what]
    file = place(made)
    with changed(file, flipped(file.read_bytes(), file.stat().st_size // 2)):
        assert check(made).differing == expected
    assert check(made).differing == []


def test_a_model_that_is_not_the_certified_one_is_not_loaded(made: Certified, public_key: Path) -> None:
    folder = artifacts(made, NAME)
    loader = b"loader_module: os\n"
    with changed(folder / "MLmodel", (folder / "MLmodel").read_bytes() + loader):
        ran = verify(made.uri, URI, "--public-key", public_key)
    assert ran.status == 1
    assert f"error: {URI}: files of {NAME}: not what its certificate says" in ran.stderr
    lines = ran.stdout.splitlines()
    start = lines.index(f"differs        files of {NAME}")
    certificate = json.loads(made.certificate.read_text())
    assert lines[start + 1] == f"  certified  {certificate['digests']['pixels_model']}"
    assert lines[start + 2].startswith("  found      ")
    assert lines[start + 2] != lines[start + 1]
    start = lines.index("not available  test accuracy, scored")
    assert "not loaded" in " ".join(lines[start + 2 :])
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("name", ["extra.txt", "code/sanefit/components/added.py"])
def test_a_file_more_or_less_differs(name: str, made: Certified) -> None:
    folder = artifacts(made, f"{NAME}-files")
    with changed(folder / name, b""):
        assert check(made).differing == [f"files of {NAME}-files"]
    with changed(folder / "requirements.txt", None):
        assert check(made).differing == [f"files of {NAME}-files"]


def test_byte_code_that_no_certificate_covers_is_told(made: Certified) -> None:
    compiled = artifacts(made, f"{NAME}-files") / "code" / "sanefit" / "__pycache__" / "x.cpython-311.pyc"
    with changed(compiled, b"\0"):
        found = check(made)
    compiled.parent.rmdir()
    assert found.differing == []
    [item] = [item for item in found.items if item.state == "not available"]
    assert item.name == f"byte code of {NAME}-files"
    assert item.why.startswith("1 files in __pycache__ are not certified")


def test_a_changed_tag_or_setting_differs(made: Certified) -> None:
    client = connect(made.uri)
    client.set_model_version_tag(NAME, "1", "test_accuracy", "0.999000")
    client.set_tag(made.run.tracking_run_id, "sanefit.identity.code", "d")
    with changed(made.files / "settings.json", b'{"seed": "1", "optimizer.kind": "adam"}'):
        found = check(made)
    client.set_model_version_tag(NAME, "1", "test_accuracy", f"{made.registration.test_accuracy:.6f}")
    client.set_tag(made.run.tracking_run_id, "sanefit.identity.code", "c")
    differing = {item.name: (item.certified, item.found) for item in found.items if item.state == "differs"}
    assert differing == {
        "identity: code": ("c", "d"),
        "tag test_accuracy": (f"{made.registration.test_accuracy:.6f}", "0.999000"),
        "setting seed": ("0", "1"),
        "setting optimizer.kind": ("nothing", "adam"),
    }
    assert check(made).differing == []


def test_the_certificate_of_another_version_says_so(made: Certified, tmp_path: Path) -> None:
    """Signed by the right key, and laid beside a worse model."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    worse = certified(tmp_path, uri, {}, "worse", steps=1)
    with (
        changed(worse.certificate, made.certificate.read_bytes()),
        changed(worse.signature, made.signature.read_bytes()),
    ):
        differing = set(check(worse).differing)
    assert {"MLflow run", "run", "tag test_accuracy", f"files of {NAME}", f"files of {NAME}-files"} <= differing


ASKED = """
import sys
from sanefit.pipeline.commands.main import app
try:
    app(["verify", "models:/signed/1"])
except SystemExit as ended:
    assert not ended.code, ended.code
print("torch" in sys.modules)
"""


def test_out_of_reach_is_not_available_and_loads_no_torch(made: Certified) -> None:
    away = [snapshot(made), Path(made.evidence.trained.weights_uri)]
    for path in away:
        path.rename(path.with_name(f"{path.name}.away"))
    try:
        variables = {**os.environ, "MLFLOW_TRACKING_URI": made.uri}
        ran = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, env=variables, check=True)
    finally:
        for path in away:
            path.with_name(f"{path.name}.away").rename(path)
    lines = ran.stdout.splitlines()
    assert lines[-2:] == ["models:/signed/1: 17 same, 0 different, 6 not available", "False"]
    missing = {line.removeprefix("not available  ") for line in lines if line.startswith("not available")}
    assert missing == {
        *("weights", "class names, data", "train split", "validation split", "test split", "test accuracy, scored"),
    }
    assert " ".join(ran.stdout.split()).count("No such file or directory") == 6
    assert max(len(line) for line in lines) <= 80


def test_near_ties_may_fall_otherwise_on_another_machine_and_other_answers_may_not(
    made: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_answers = certified_snapshot.probabilities_of

    def one_image_otherwise(gap: float) -> CheckedCertificate:
        def answers(*arguments: object) -> np.ndarray:
            found = true_answers(*arguments)  # type: ignore[arg-type]
            labels = certified_snapshot.open_split(made.evidence.inputs.dataset, "test").labels
            image = int(np.flatnonzero(found.argmax(axis=1) == labels)[0])
            found[image] = 0
            found[image, labels[image]] = 0.5 - gap / 2
            found[image, (labels[image] + 1) % 10] = 0.5 + gap / 2
            return found

        monkeypatch.setattr(certified_snapshot, "probabilities_of", answers)
        return check(made)

    [item] = [item for item in one_image_otherwise(1e-4).items if item.name == "test accuracy, scored"]
    assert item.state == "same"
    assert item.why.endswith("near-ties, which another machine may round otherwise")
    assert float(item.certified) - float(item.found) == pytest.approx(1 / 320, abs=2e-6)
    assert one_image_otherwise(0.01).differing == ["test accuracy, scored"]


def test_a_certificate_of_another_form_is_one_line(made: Certified) -> None:
    other = made.certificate.read_bytes().replace(b'"format_version": 1', b'"format_version": 2')
    with (
        changed(made.certificate, other),
        changed(made.signature, sign(other, KEY)),
        pytest.raises(RunFailedError, match="is none of this version of sanefit"),
    ):
        check(made)
    with pytest.raises(SettingsError, match="names no model"):
        check(made, "runs:/abc/model")


def test_through_a_server_the_digests_are_the_same_as_from_files(tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as server:
        made = certified(tmp_path, server, SIGNING)
        found = check(made)
        assert (found.signature, found.differing, len(found.items)) == ("valid", [], 23)
        assert all(item.state == "same" for item in found.items)
        [line] = made.certify(SIGNING, NOW)
        assert line.startswith("the certificate is there already")
    folders = [file.parents[1] for file in (tmp_path / "artifacts").rglob("model.pt2")]
    digest = json.loads(next((tmp_path / "artifacts").rglob("certificate.json")).read_text())["digests"]
    assert digest["pixels_model"] in {digest_by_hand(folder) for folder in folders}
