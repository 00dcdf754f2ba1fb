"""A version with a certificate, in a storage of its own, for tests that change what lies there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from said import Said
from test_registration import DATA, NETWORK, RULE, folder_of, opened, trained_model
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.checks import CheckReport, GateResult
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.certificate import Evidence, certify
from sanefit.components.model_registry.registration import register

NAME = "signed"
NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
GATE = GateResult(
    name="first_loss",
    row="S1",
    title="first loss is log 10",
    verdict="pass",
    measured="2.2870",
    expected="2.3026 = log 10",
    reason="scores say nothing yet",
)
CHECKS = CheckReport(gates=[GATE], probe=[], learning_rate_band=None)


@dataclass(frozen=True)
class Certified:
    """``storage``: of the snapshot, the weights and MLflow's store, unless that is a server."""

    storage: Path
    uri: str
    registration: Registration
    evidence: Evidence
    run: RunReference

    @property
    def files(self) -> Path:
        """Of the run."""
        return self.storage / "mlflow-artifacts" / self.run.tracking_run_id / "artifacts"

    @property
    def certificate(self) -> Path:
        return self.files / "certificate" / "certificate.json"

    @property
    def signature(self) -> Path:
        return self.files / "certificate" / "certificate.json.sig"

    def certify(self, environment: Mapping[str, str], now: datetime = NOW) -> list[str]:
        said = Said()
        certify(self.registration, self.evidence, self.run, environment, now, said)
        return said


def certified(
    storage: Path, uri: str, environment: Mapping[str, str], run_name: str = "r", steps: int = 30
) -> Certified:
    """Registered without the process of its own that verifies: ``test_served_models.py`` has one."""
    dataset = take_snapshot(DataSettings(), str(storage), Said())
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    run = opened(NAME, run_name, storage, uri, dataset)
    trained, inputs = trained_model(folder_of(run), dataset, stats, steps), inputs_of(dataset, stats, NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration_module, "verify", lambda *_: None)
        registration = register(NAME, inputs, DATA, trained, RULE, run, Said())
    identity = TrainingIdentity(images=dataset.fingerprint, code="c", torch="t")
    made = Certified(storage, uri, registration, Evidence(inputs, trained, CHECKS, identity), run)
    made.certify(environment)
    return made


@contextmanager
def changed(file: Path, content: bytes | None) -> Iterator[None]:
    """A file with another content, or without the file, until the end."""
    before = file.read_bytes() if file.exists() else None
    _put(file, content)
    try:
        yield
    finally:
        _put(file, before)


def _put(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
