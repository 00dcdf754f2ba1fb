"""Changes by a person, in a real MLflow store, through the command."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.models import champion_version
from sanefit.components.model_registry.api import list_changes, promote, roll_back
from sanefit.components.model_registry.settlement import Proposal, propose, read_proposals, read_standing

pytestmark = pytest.mark.slow

NAME = "shop"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Constant(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: np.ndarray) -> np.ndarray:
        return model_input


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Three versions, each found better than the one before; the last one is champion."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment_id = found.create_experiment("made", (tmp_path / "artifacts").as_uri())
    signature = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 2))]))
    found.create_registered_model(NAME)
    run = found.create_run(experiment_id)
    with mlflow.start_run(run_id=run.info.run_id):  # set_experiment would last beyond this test
        model = mlflow.pyfunc.log_model(name="model", python_model=Constant(), signature=signature)
    for number in range(3):
        found.create_model_version(
            NAME, source=model.model_uri, run_id=run.info.run_id, tags={"test_accuracy": f"0.{number + 7}00000"}
        )
        standing = read_standing(found, NAME, NOW)
        time = (NOW + timedelta(minutes=number)).isoformat()
        proposal = Proposal(
            over=standing.champion, score=0.7 + number / 10, past=standing.past, time=time, reason="better"
        )
        propose(found, NAME, str(number + 1), proposal)
    return found


def sanefit(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "sanefit"), "registry", *arguments, "--workdir", str(tmp_path)]
    variables = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)


def test_rollback_puts_the_champion_before_back_and_once_more_the_one_before_that(client: Client) -> None:
    assert champion_version(client, NAME) == "3"
    version, placed = roll_back(client, NAME, "ada", "calls cats dogs", NOW + timedelta(hours=1))
    assert (version, placed.replaced, champion_version(client, NAME)) == ("2", "3", "2")
    # Version 2 was put in the place of 3, so 3 was champion before it.
    assert roll_back(client, NAME, "ada", "", NOW + timedelta(hours=2))[0] == "3"
    assert champion_version(client, NAME) == "3"


def test_what_a_person_placed_is_not_moved_by_what_a_killed_run_left(client: Client) -> None:
    client.create_model_version(NAME, source=client.get_model_version(NAME, "1").source)
    left = Proposal(over="3", score=0.99, time=NOW.isoformat())
    client.set_model_version_tag(NAME, "4", "sanefit.proposal", left.model_dump_json())
    promote(client, NAME, "1", "ada", "", NOW)
    assert read_standing(client, NAME, NOW + timedelta(days=1)).champion == "1"
    assert all(proposal.settled for proposal in read_proposals(client, NAME).values())


def test_the_history_says_who_changed_what_and_why(client: Client) -> None:
    promote(client, NAME, "1", "ada", "checked by hand", NOW + timedelta(hours=1))
    found = [(change.version, change.over, change.by, change.why) for change in list_changes(client, NAME)]
    assert found == [
        ("1", "", "run", "better"),
        ("2", "1", "run", "better"),
        ("3", "2", "run", "better"),
        ("1", "3", "ada", "checked by hand"),
    ]


def test_the_commands_do_it_and_say_so(client: Client, tmp_path: Path) -> None:
    shown = sanefit(tmp_path, "show", NAME)
    assert shown.stdout.splitlines() == [
        "    1  test accuracy 0.7000",
        "    2  test accuracy 0.8000",
        "    3  test accuracy 0.9000  champion",
    ]
    rolled_back = sanefit(tmp_path, "rollback", NAME, "--reason", "too slow")
    assert rolled_back.stdout == f"models:/{NAME}/2 is champion, in place of version 3\n"
    assert champion_version(client, NAME) == "2"
    promoted = json.loads(sanefit(tmp_path, "promote", NAME, "3", "--json").stdout)
    assert promoted == {"status": "succeeded", "name": NAME, "champion": "3", "replaced": "2"}
    assert "too slow" in sanefit(tmp_path, "history", NAME).stdout
    described = json.loads(sanefit(tmp_path, "show", NAME, "--json").stdout)
    assert described["versions"][2] == {"version": "3", "aliases": ["champion"], "test_accuracy": 0.9}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "shoe"], "no registered model 'shoe'; expected one of shop"),
        (["promote", NAME, "9"], "model 'shop' has no version '9'; expected one of 1, 2, 3"),
    ],
)
def test_what_is_not_there_is_one_line(client: Client, tmp_path: Path, arguments: list[str], said: str) -> None:
    ran = sanefit(tmp_path, *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert champion_version(client, NAME) == "3"


def test_a_version_whose_files_are_gone_is_not_promoted(client: Client, tmp_path: Path) -> None:
    for path in (tmp_path / "artifacts").rglob("MLmodel"):
        path.unlink()
    ran = sanefit(tmp_path, "promote", NAME, "1")
    assert ran.returncode == 2
    assert "cannot be loaded" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert champion_version(client, NAME) == "3"


def test_a_work_directory_without_a_store_is_said_and_none_is_made(tmp_path: Path) -> None:
    ran = sanefit(tmp_path / "nothing", "show", NAME)
    assert ran.returncode == 2
    assert "no MLflow store" in ran.stderr
    assert not (tmp_path / "nothing").exists()
