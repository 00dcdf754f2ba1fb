"""What the steps of a whole run say of themselves, in the run's folder and in MLflow."""

from pathlib import Path

import pytest
from command_line import PLUGINS_RUN, Command
from mlflow import MlflowClient

from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.storage.layout import RunFolder
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.foundation.tracking.run_record import tracked_run_record
from sanefit.components.foundation.tracking.tags import JOB_TAG, PLUGINS_RUN_TAG, RUN_TAG

pytestmark = pytest.mark.slow

STEPS = [
    *("open run", "sanity", "first report", "gate"),
    *(f"{stage} {step}" for stage in ("coarse", "fine") for step in ("plan", "pack 1", "pack 2", "rank")),
    *("train", "register", "report", "close run"),
]


@pytest.fixture
def record(first_run: Command) -> RunRecord:
    return read_run_record(RunFolder(first_run.result["run_dir"]))


def test_every_step_that_knows_its_run_says_that_it_succeeded(record: RunRecord) -> None:
    steps = sorted(record.steps, key=lambda step: step.started)
    assert {step.step for step in steps} == {*STEPS}
    assert {step.state for step in steps} == {"succeeded"}
    assert all(step.ended is not None and step.ended >= step.started for step in steps)
    assert steps[-1].step == "close run"


def test_packs_say_that_all_of_their_trials_have_ended(record: RunRecord) -> None:
    assert {pack.step: (pack.ended, pack.trials, pack.trials_in_stage) for pack in record.packs} == {
        "coarse pack 1": (3, 3, 6),
        "coarse pack 2": (3, 3, 6),
        "fine pack 1": (2, 2, 4),
        "fine pack 2": (2, 2, 4),
    }
    assert all(pack.seconds_left == 0 and 0 < (pack.best_score or 0) <= 1 for pack in record.packs)


def test_what_was_registered_is_said(record: RunRecord, first_run: Command) -> None:
    assert record.registration is not None
    assert record.registration.model_uri == first_run.result["model_uri"]
    assert record.registration.test_accuracy == first_run.result["test_accuracy"]


def test_mlflow_has_the_whole_record(record: RunRecord, first_run: Command, workdir: Path) -> None:
    uri = f"sqlite:///{workdir / 'mlflow.db'}"
    client = MlflowClient(uri)
    name = Path(first_run.result["run_dir"]).name
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    [run] = client.search_runs(experiments, f"tags.`{RUN_TAG}` = '{name}'")
    assert run.data.tags[PLUGINS_RUN_TAG] == PLUGINS_RUN
    tracked = tracked_run_record(uri, run.data.tags[JOB_TAG])
    assert sorted(tracked.steps, key=str) == sorted(record.steps, key=str)
    assert sorted(tracked.packs, key=str) == sorted(record.packs, key=str)
    assert (tracked.registration, tracked.failure) == (record.registration, "")
