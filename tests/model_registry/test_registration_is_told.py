"""The step that registers tells of the promotion, once, however often it is repeated."""

from pathlib import Path

import pytest
from test_registration import folder_of, opened, trained_model
from webhook import listening

from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.checks import CheckReport
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.statistics import ChannelStats
from sanefit.components.foundation.schemas.training import OptimizerSettings, TrainingParameters
from sanefit.components.foundation.storage.results import load_result, store_cached_result, store_result
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.steps import register_model

pytestmark = pytest.mark.slow

NETWORK = TwoLayerSettings(kind="two_layer", hidden=16)


def registered(
    run_name: str, steps: int, digits: DatasetReference, stats: ChannelStats, storage: Path, uri: str
) -> Registration:
    """By the step, as the orchestrator calls it."""
    run = opened("told", run_name, storage, uri, digits)
    reference = register_model(
        name="told",
        data=DataSettings().model_dump_json(),
        inputs=TrainingParameters(
            dataset=digits.model_dump_json(),
            stats=store_cached_result(str(storage), "stats", stats),
            network=NETWORK.model_dump_json(),
            optimizer=OptimizerSettings().model_dump_json(),
            seed=0,
        ).model_dump_json(),
        registry=RegistrySettings(notify_url="env:SHOP_HOOK").model_dump_json(),
        trained=store_result(f"{folder_of(run)}/trained.json", trained_model(folder_of(run), digits, stats, steps)),
        checks=store_result(f"{folder_of(run)}/checks.json", CheckReport(gates=[], probe=[], learning_rate_band=None)),
        identity=TrainingIdentity(images=digits.fingerprint, code="c", torch="t").model_dump_json(),
        run=run.model_dump_json(),
    )
    return load_result(Registration, reference)


def test_each_promotion_is_told_once_and_a_challenger_is_not(
    digits: DatasetReference,
    digits_stats: ChannelStats,
    storage: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(registration_module, "verify", lambda *_: None)
    with listening() as hook:
        monkeypatch.setenv("SHOP_HOOK", hook.address)
        found = [
            registered(name, steps, digits, digits_stats, storage, uri)
            for name, steps in [("poor", 1), ("poor", 1), ("good", 60), ("good", 60), ("worse", 5)]
        ]
    assert [(one.model_version, one.alias) for one in found] == [
        ("1", "champion"),
        ("1", "champion"),
        ("2", "champion"),
        ("2", "champion"),
        ("3", "challenger"),
    ]
    assert [(told["run_name"], told["champion_version_before"]) for told in hook.told] == [
        ("poor", None),
        ("good", "1"),
    ]
    for told, registration in zip(hook.told, (found[0], found[2]), strict=True):
        for name in ("model_name", "model_version", "model_uri", "alias", "test_accuracy", "reason"):
            assert told[name] == getattr(registration, name)
    printed = "".join(capfd.readouterr())
    assert printed.count("127.0.0.1 was told (promoted)") == 2
    assert "CANARY" not in printed
    assert [path for path in storage.rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()] == []
