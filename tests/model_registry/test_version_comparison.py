"""What differs between versions that were really registered, in a real MLflow store."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from said import Said
from test_registration import folder_of, trained_model
from training_inputs import inputs_of

from sanefit.components.channel_stats.channel_stats import measure_channel_stats
from sanefit.components.dataset_snapshot.snapshot import take_snapshot
from sanefit.components.foundation.errors import SettingsError
from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.data_settings import DataSettings
from sanefit.components.foundation.schemas.images import DatasetReference
from sanefit.components.foundation.schemas.networks import TwoLayerSettings
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration
from sanefit.components.foundation.schemas.statistics import StatsSettings
from sanefit.components.foundation.tracking.child_runs import ChildRun, log_child_run
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.model_registry import registration as registration_module
from sanefit.components.model_registry.api import compare_versions
from sanefit.components.model_registry.registration import register
from sanefit.components.model_registry.run_identity import flat_settings
from sanefit.components.model_registry.run_lifecycle import open_tracking_run
from sanefit.pipeline.commands.main import main

pytestmark = pytest.mark.slow

NETWORK = TwoLayerSettings(kind="two_layer", hidden=16)
NAME = "side-by-side"


def registered(
    run_name: str, dataset: DatasetReference, storage: Path, uri: str, steps: int, code: str, learning_rate: str
) -> Registration:
    stats = measure_channel_stats(dataset, StatsSettings(normalization="channel_mean_std"), Said())
    known = TrainingIdentity(images=dataset.fingerprint, code=code, torch="2.14.1")
    identity = known.of(steps, {"final": {"epochs": steps}})
    final = json.dumps({"epochs": steps, "patience": None, "ensemble": 1})
    extra = {"warmup": 0.5} if steps > 50 else {}
    settings = flat_settings(steps, final=final, optimizer=json.dumps({"kind": "sgd", **extra}))
    run = open_tracking_run(NAME, run_name, run_name, str(storage), uri, identity, settings, Said())
    child = ChildRun(
        name="final",
        params={"epochs": str(steps), "schedule": "cosine", "learning_rate": learning_rate},
        tags={"sanefit.stage": "final"},
        epochs=[],
        summary={},
        started=0,
        ended=1,
        failed=False,
    )
    log_child_run(connect(uri), run, child)
    trained = trained_model(folder_of(run), dataset, stats, steps)
    inputs, images = inputs_of(dataset, stats, NETWORK), DataSettings()
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    return register(NAME, inputs, images, trained, RegistrySettings(), run, Said(), now=lambda: now)


@pytest.fixture(scope="module")
def registrations(
    digits: DatasetReference, tmp_path_factory: pytest.TempPathFactory, storage: Path, uri: str
) -> list[Registration]:
    """Of one data set: a poor version, a good one, which takes over, and one that is not better; then another's."""
    random_images = tmp_path_factory.mktemp("other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registration_module, "verify", lambda *_: None)
        found = [
            registered(name, digits, storage, uri, steps, code, rate)
            for name, steps, code, rate in [
                ("poor", 1, "a" * 64, "0.1"),
                ("good", 60, "b" * 64, "0.1"),
                ("worse", 5, "b" * 64, "0.03"),
            ]
        ]
        other = take_snapshot(DataSettings(source=f"folder:{few_images(random_images)}"), str(storage), Said())
        return [*found, registered("other-images", other, storage, uri, 5, "b" * 64, "0.03")]


def few_images(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(40):
            pixels = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def client(registrations: list[Registration], uri: str) -> Client:
    assert [one.alias for one in registrations] == ["champion", "champion", "challenger", "challenger"]
    return connect(uri)


def test_all_that_differs_from_the_champion_is_there_and_nothing_else(
    client: Client, registrations: list[Registration], digits: DatasetReference
) -> None:
    found = compare_versions(client, NAME, "3")
    third, second = found.versions
    assert (third.version, second.version) == ("3", "2")
    assert (third.aliases, second.aliases) == ([], ["champion"])  # version 4 is the challenger by now
    assert (third.run_name, second.run_name) == ("worse", "good")
    assert third.test_accuracy == pytest.approx(registrations[2].test_accuracy, abs=1e-6)
    assert second.test_accuracy == pytest.approx(registrations[1].test_accuracy, abs=1e-6)
    assert third.fingerprint == second.fingerprint == digits.fingerprint
    assert third.class_names == second.class_names == [str(digit) for digit in range(10)]
    assert third.image_shape == second.image_shape == [8, 8, 1]
    assert found.settings == {"seed": ("5", "60"), "final.epochs": ("5", "60"), "optimizer.warmup": (None, "0.5")}
    assert found.chosen == {"learning_rate": ("0.03", "0.1")}
    assert found.identity.keys() == {"configuration"}  # the seed is a setting, the images are the fingerprint
    assert found.not_on_record == []


def test_the_comparison_that_a_run_made_is_found_from_either_side_whether_it_promoted_or_not(
    client: Client, registrations: list[Registration]
) -> None:
    for asked, version, over in [("3", "3", "2"), ("2", "2", "1"), ("1", "2", "1")]:
        other = {"3": "2", "2": "1", "1": "2"}[asked]
        earlier = compare_versions(client, NAME, asked, other).earlier
        made = registrations[int(version) - 1]
        assert earlier is not None
        assert (earlier.version, earlier.over, earlier.look) == (version, over, made.look)
        assert earlier.comparison == made.comparison
        assert earlier.reason == made.reason
        assert earlier.time == "2026-11-27T12:00:00+00:00"
    assert compare_versions(client, NAME, "1", "3").earlier is None
    assert compare_versions(client, NAME, "4", "2").earlier is None  # of other images: it could not be compared


def test_other_code_and_other_images_are_seen(client: Client) -> None:
    identity = compare_versions(client, NAME, "1", "2").identity
    assert identity.keys() == {"code", "configuration"}
    assert identity["code"] == ("a" * 64, "b" * 64)
    fourth, second = compare_versions(client, NAME, "4").versions
    assert fourth.fingerprint != second.fingerprint
    assert (fourth.class_names, fourth.image_shape) == (["cat", "dog"], [6, 6, 3])


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str


@pytest.fixture
def compare(
    registrations: list[Registration],  # noqa: ARG001
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Ran]:
    """The command, in this process."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["sanefit", "registry", "compare", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_the_command_prints_a_table_of_80_columns(
    compare: Callable[..., Ran], registrations: list[Registration]
) -> None:
    ran = compare(NAME, "3")
    assert (ran.status, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    cells = {line.split("  ")[0]: line.split()[-2:] for line in lines if line}
    assert lines[0].split() == [NAME, "version", "3", "version", "2"]
    assert cells["aliases"] == ["-", "champion"]
    assert cells["run"] == ["worse", "good"]
    assert cells["test accuracy"] == [f"{registrations[number].test_accuracy:.4f}" for number in (2, 1)]
    assert cells["data fingerprint"] == ["the", "same"]
    assert cells["final.epochs"] == ["5", "60"]
    assert cells["optimizer.warmup"] == ["-", "0.5"]
    assert cells["chosen: learning_rate"] == ["0.03", "0.1"]
    comparison = registrations[2].comparison
    assert comparison is not None
    assert cells["accuracy, same images"] == [f"{comparison.new:.4f}", f"{comparison.old:.4f}"]
    judged = f"{comparison.images} images of its run's test split: {registrations[2].reason}."
    assert f"Version 3 beside 2, 2026-11-27T12:00:00+00:00, on {judged}" in " ".join(lines)


def test_asked_the_other_way_round_the_columns_change_places(compare: Callable[..., Ran]) -> None:
    there, back = (compare(NAME, *versions).stdout.splitlines() for versions in (("3", "2"), ("2", "3")))
    rows = [{line.split("  ")[0]: line.split()[-2:] for line in lines} for lines in (there, back)]
    for row in ("aliases", "run", "test accuracy", "accuracy, same images", "final.epochs"):
        assert rows[0][row] == rows[1][row][::-1]


def test_other_classes_and_sizes_have_rows_of_their_own(
    compare: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(compare(NAME, "4", "2").stdout.split())
    assert "classes 2, of them only here: cat, dog 10, of them only here: 0, 1, 2 and 7 more" in text
    assert "image shape 6 x 6 x 3 8 x 8 x 1" in text
    assert "No run has compared the two on the same images." in text


def test_a_program_gets_the_same_as_json(compare: Callable[..., Ran], registrations: list[Registration]) -> None:
    record: dict[str, Any] = json.loads(compare(NAME, "2", "1", "--json").stdout)
    assert (record["status"], record["name"]) == ("succeeded", NAME)
    assert [one["version"] for one in record["versions"]] == ["2", "1"]
    assert record["settings"]["final.epochs"] == ["60", "1"]
    assert record["settings"]["optimizer.warmup"] == ["0.5", None]
    assert record["identity"]["code"] == ["b" * 64, "a" * 64]
    comparison = registrations[1].comparison
    assert comparison is not None
    assert record["earlier"]["comparison"] == comparison.model_dump()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shoe", "1"], "no registered model 'shoe'; expected one of"),
        ([NAME, "9"], f"model '{NAME}' has no version '9'; expected one of 1, 2, 3, 4"),
        ([NAME, "1", "9"], f"model '{NAME}' has no version '9'; expected one of 1, 2, 3, 4"),
        ([NAME, "2"], f"version 2 of model '{NAME}', which is champion, cannot be compared with itself"),
        ([NAME, "1", "1"], f"version 1 of model '{NAME}' cannot be compared with itself"),
    ],
)
def test_what_cannot_be_compared_is_one_line(arguments: list[str], said: str, compare: Callable[..., Ran]) -> None:
    ran = compare(*arguments)
    assert (ran.status, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_torch_is_not_loaded(registrations: list[Registration], uri: str) -> None:
    assert registrations
    program = """
import sys
from sanefit.pipeline.commands.main import main
try:
    main()
finally:
    assert "mlflow" in sys.modules and "torch" not in sys.modules
"""
    command = [sys.executable, "-c", program, "registry", "compare", NAME, "1"]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "MLFLOW_TRACKING_URI": uri}, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_versions_of_which_little_is_on_record_are_compared_as_far_as_can_be(
    client: Client, compare: Callable[..., Ran]
) -> None:
    """As another program registers them: one of a run that is gone, one of none."""
    client.create_registered_model("bare")
    client.create_model_version("bare", source="file:///nowhere", run_id="0" * 32)
    client.create_model_version("bare", source="file:///nowhere", tags={"sanefit.proposal": "{}"})
    with pytest.raises(SettingsError, match="'bare' has no champion; expected two versions; name the other one"):
        compare_versions(client, "bare", "1")
    found = compare_versions(client, "bare", "1", "2")
    assert (found.settings, found.chosen, found.identity, found.earlier) == ({}, {}, {}, None)
    assert len(found.not_on_record) == 4
    text = " ".join(compare("bare", "1", "2").stdout.split())
    assert "Not on record: the run of version 1: its settings and code are not compared." in text
    assert "No setting differs" not in text
