"""Runs that several tests look at."""

from pathlib import Path

import pytest
from command_line import OF_THE_PLUGIN, SMALL, Command, sanefit
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@pytest.fixture(scope="session")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "sanefit-runs"


@pytest.fixture(scope="session")
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def first_run(workdir: Path, signing_key: Ed25519PrivateKey) -> Command:
    """The whole pipeline on digits, small, with a signed certificate, beside Kubeflow's MLflow plugin."""
    pem = signing_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    environment = {"SANEFIT_SIGNING_KEY": pem, **OF_THE_PLUGIN}
    return sanefit("run", "--json", "--workdir", str(workdir), sets=SMALL, environment=environment)


@pytest.fixture(scope="session")
def second_run(first_run: Command, workdir: Path) -> Command:
    """The same once more, in the same work directory."""
    assert first_run.status == 0
    return sanefit("run", "--json", "--workdir", str(workdir), sets=SMALL)
