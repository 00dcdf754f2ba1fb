"""What a certificate says, against the store's files themselves; and what stays when a step is repeated."""

import hashlib
import json
import platform
import subprocess
from datetime import timedelta
from pathlib import Path

import mlflow
import pytest
import torch
from certified_version import CHECKS, NAME, NOW, Certified, certified, changed
from test_signature import KEY, OTHER, pem

import sanefit
from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.components.foundation.schemas.certificates import Certificate
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.model_registry.certificate import as_bytes
from sanefit.components.model_registry.provenance import git_commit
from sanefit.components.model_registry.signature import is_signed, sign

pytestmark = pytest.mark.slow

IMAGES = {"SANEFIT_DATA_IMAGE": "example.com/data@sha256:aa", "SANEFIT_TRAINER_IMAGE": "example.com/trainer@sha256:bb"}
SIGNING = {"SANEFIT_SIGNING_KEY": pem(KEY)}


@pytest.fixture(scope="module")
def made(storage: Path, uri: str) -> Certified:
    return certified(storage, uri, {**SIGNING, **IMAGES})


@pytest.fixture(scope="module")
def read(made: Certified) -> Certificate:
    return Certificate.model_validate_json(made.certificate.read_bytes())


def test_it_says_what_was_registered_and_how_good_it_is(made: Certified, read: Certificate) -> None:
    trained = made.evidence.trained
    assert read.registration == made.registration
    assert read.run.model_dump() == {
        "run_name": "r",
        "tracking_run_id": made.run.tracking_run_id,
        "job_id": "r",
    }
    assert (read.test.accuracy, read.test.images, read.test.judgement) == (trained.test_accuracy, 320, trained.test)
    assert (read.validation.accuracy, read.validation.judgement) == (trained.validation_accuracy, trained.validation)
    assert read.images == {"train": 1206, "validation": 271, "test": 320}
    assert (read.class_count, read.image_shape, read.dataset) == (10, (8, 8, 1), made.evidence.inputs.dataset)
    assert read.checks == CHECKS.gates
    assert (read.settings, read.seed, read.network["kind"]) == ({"seed": "0"}, 0, "two_layer")
    assert read.identity == {"images": made.evidence.inputs.dataset.fingerprint, "code": "c", "torch": "t"}
    assert read.time == "2026-11-28T09:30:00+00:00"
    assert read.versions == {
        "sanefit": sanefit.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "mlflow": mlflow.__version__,
    }
    assert read.container_images == {"data": "example.com/data@sha256:aa", "trainer": "example.com/trainer@sha256:bb"}
    assert read.hardware["registration"]


def digest_by_hand(folder: Path) -> str:
    """As docs/registry.md has it."""
    command = (
        "find . -type f ! -path '*/__pycache__/*' ! -path ./registered_model_meta -printf '%P\\n' "
        "| LC_ALL=C sort | xargs sha256sum | sha256sum"
    )
    found = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    return found.split()[0]


def test_its_digests_are_those_that_sha256sum_prints(made: Certified, read: Certificate) -> None:
    client = connect(made.uri)
    for name, digest in ((NAME, read.digests.pixels_model), (f"{NAME}-files", read.digests.files_model)):
        folder = Path(client.get_model_version_download_uri(name, "1").removeprefix("file://"))
        assert (folder / "MLmodel").is_file()
        assert digest == digest_by_hand(folder)
    assert read.digests.pixels_model != read.digests.files_model
    weights = Path(made.evidence.trained.weights_uri)
    assert read.digests.weights == hashlib.sha256(weights.read_bytes()).hexdigest()
    seen = made.files / "training" / "seen_images.npy"
    assert read.digests.seen_images == hashlib.sha256(seen.read_bytes()).hexdigest()
    reference = made.files / "drift" / "reference.npz"
    assert read.digests.drift_reference == hashlib.sha256(reference.read_bytes()).hexdigest()
    snapshot = made.storage / "snapshots" / read.dataset.fingerprint[:16]
    indices = {hashlib.sha256(path.read_bytes()).hexdigest() for path in snapshot.iterdir()}
    assert len(set(read.digests.splits.values()) & indices) == 3


def test_equal_certificates_are_equal_bytes(made: Certified, read: Certificate) -> None:
    content = made.certificate.read_bytes()
    assert as_bytes(read) == content
    shuffled = dict(reversed(json.loads(content).items()))
    assert as_bytes(Certificate.model_validate(shuffled)) == content
    assert is_signed(content, made.signature.read_bytes(), KEY.public_key())


def test_a_step_that_is_repeated_keeps_the_certificate(made: Certified) -> None:
    before = made.certificate.read_bytes(), made.signature.read_bytes()
    [line] = made.certify(SIGNING, NOW + timedelta(hours=1))
    assert line.startswith("the certificate is there already, signed by key")
    assert (made.certificate.read_bytes(), made.signature.read_bytes()) == before


def test_what_somebody_put_in_its_place_is_neither_kept_nor_signed(made: Certified) -> None:
    """Unsigned, signed by another key, or signed by this one, for another version."""
    content, signature = made.certificate.read_bytes(), made.signature.read_bytes()
    boasting = content.replace(b'"accuracy": 0.', b'"accuracy": 1.')
    other = content.replace(b'"model_version": "1"', b'"model_version": "2"')
    for planted, planted_signature in (
        (boasting, None),
        (boasting, signature),
        (boasting, sign(boasting, OTHER)),
        (other, sign(other, KEY)),
    ):
        assert planted != content
        with changed(made.certificate, planted), changed(made.signature, planted_signature):
            [line] = made.certify({**SIGNING, **IMAGES})
            assert line.startswith("certificate of models:/signed/1, signed by key")
            assert (made.certificate.read_bytes(), made.signature.read_bytes()) == (content, signature)


def test_without_a_key_it_is_unsigned_and_says_so(made: Certified) -> None:
    with changed(made.certificate, None), changed(made.signature, None):
        assert made.certify({}) == ["certificate of models:/signed/1, unsigned: SANEFIT_SIGNING_KEY is not set"]
        assert not made.signature.exists()
        # A later try that has a key signs what it makes itself.
        made.certify(SIGNING, NOW + timedelta(hours=1))
        assert is_signed(made.certificate.read_bytes(), made.signature.read_bytes(), KEY.public_key())
        assert Certificate.model_validate_json(made.certificate.read_bytes()).time == "2026-11-28T10:30:00+00:00"


def test_an_artifact_store_that_takes_nothing_is_one_line(made: Certified, tmp_path: Path) -> None:
    folder = made.certificate.parent
    aside = folder.rename(tmp_path / "aside")
    try:
        folder.write_text("a file where the folder belongs")
        with pytest.raises(RunFailedError, match="certificate of models:/signed/1 cannot be kept in MLflow at"):
            made.certify(SIGNING)
    finally:
        folder.unlink()
        aside.rename(folder)


def test_the_key_is_in_no_file_of_the_store(made: Certified) -> None:
    raw = KEY.private_bytes_raw()
    canaries = [raw, raw.hex().encode(), pem(KEY).splitlines()[1].encode(), b"PRIVATE KEY"]
    files = [path for path in made.storage.rglob("*") if path.is_file()]
    assert made.certificate in files
    assert made.storage / "mlflow.db" in files
    assert [path for path in files if any(canary in path.read_bytes() for canary in canaries)] == []


def test_the_commit_is_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() == ""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(tmp_path)]
    (tmp_path / "file").write_text("1")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    assert git_commit() == head
    (tmp_path / "file").write_text("2")
    assert git_commit() == f"{head}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() == ""


def test_a_key_that_cannot_be_read_stops_a_run_when_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sanefit.components.model_registry.steps import open_run

    monkeypatch.setenv("SANEFIT_SIGNING_KEY", str(tmp_path / "none.pem"))
    names = ("name", "run_name", "job_id", "storage", "tracking_uri", "identity", "dataset", "registry")
    with pytest.raises(SystemExit) as ended:
        open_run(**dict.fromkeys(names, ""), seed=0, sections={})
    assert ended.value.code == SettingsError.exit_status == 2
    assert "SANEFIT_SIGNING_KEY is no key in PEM" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
