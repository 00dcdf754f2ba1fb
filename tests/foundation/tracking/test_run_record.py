"""A run's record as MLflow has it, against a real store."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from containers.servers import mlflow_server

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.run_record import PackProgress, StepRecord
from sanefit.components.foundation.schemas.runs import Registration, RunReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.run_record import (
    LONGEST_TAG,
    mirror_if_taken,
    mirror_run_record,
    mirrored_step,
    tag_progress,
    tracked_run_record,
)
from sanefit.components.foundation.tracking.runs import close_run, open_run

pytestmark = pytest.mark.slow

JOB = "1edbf91d-f7dc-47ad-a5a2-2291a7a1ef95"
STEPS = [
    StepRecord(step="gate", state="succeeded", started=1.0, ended=2.0),
    StepRecord(step="coarse pack 1", state="running", started=2.0, said="(3 / 4)"),
]
PACK = PackProgress(
    stage="coarse",
    pack=0,
    packs=2,
    trials=4,
    trials_in_stage=8,
    ended=3,
    metric="accuracy",
    best_score=0.75,
    written=3.0,
    seconds_left=1.0,
)
REGISTRATION = Registration(
    model_name="digits",
    model_version="7",
    model_uri="models:/digits/7",
    alias="champion",
    test_accuracy=0.97,
    champion_version_before=None,
    reason="the first version",
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def run(uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> RunReference:
    name = request.node.name
    client = connect(uri)
    for other in ("other", "another"):
        open_run(client, experiment=other, artifact_location=str(tmp_path), run_name=name, tags={}, params={})
    run_id = open_run(
        client, experiment="watched", artifact_location=str(tmp_path), run_name=name, tags={}, params={}, job_id=name
    )
    return RunReference(run_name=name, storage=str(tmp_path), tracking_uri=uri, tracking_run_id=run_id)


def keep(run: RunReference, *steps: StepRecord) -> None:
    folder = Storage(run.storage).run(run.run_name)
    for step in steps:
        object_store.write_bytes(folder.step(step.step), step.model_dump_json().encode())


def test_mlflow_gives_what_the_folder_has_whichever_experiment_the_run_is_in(run: RunReference) -> None:
    folder = Storage(run.storage).run(run.run_name)
    keep(run, *STEPS)
    object_store.write_bytes(folder.pack_progress("coarse", 0), PACK.model_dump_json().encode())
    object_store.write_bytes(folder.registration, REGISTRATION.model_dump_json().encode())
    mirror_run_record(connect(run.tracking_uri), run)
    expected = read_run_record(folder)
    assert len(expected.steps) == 2
    found = tracked_run_record(run.tracking_uri, run.run_name)
    assert sorted(found.steps, key=str) == sorted(expected.steps, key=str)
    assert (found.packs, found.registration, found.failure) == ([PACK], REGISTRATION, "")


def test_what_has_changed_since_is_copied_and_the_reason_of_a_failure_is_there(run: RunReference) -> None:
    client = connect(run.tracking_uri)
    keep(run, *STEPS)
    mirror_run_record(client, run)
    failed = StepRecord(step="coarse pack 1", state="failed", started=2.0, ended=5.0, reason="no room")
    keep(run, failed)
    mirror_run_record(client, run)
    tag_progress(client, run, PACK)
    close_run(client, run.tracking_run_id, succeeded=False, failure="coarse pack 1: no room", attach=None)
    found = tracked_run_record(run.tracking_uri, run.run_name)
    assert failed in found.steps
    assert found.packs == [PACK]
    assert found.failure == "coarse pack 1: no room"


def test_a_second_try_that_succeeds_takes_the_reason_back(run: RunReference) -> None:
    client = connect(run.tracking_uri)
    close_run(client, run.tracking_run_id, succeeded=False, failure="no room", attach=None)
    close_run(client, run.tracking_run_id, succeeded=True, failure="", attach=None)
    assert tracked_run_record(run.tracking_uri, run.run_name).failure == ""
    assert client.get_run(run.tracking_run_id).info.status == "FINISHED"


def test_a_tag_that_mlflow_would_refuse_is_left_out(run: RunReference) -> None:
    keep(run, STEPS[0], StepRecord(step="long", state="succeeded", started=1.0, said="x" * LONGEST_TAG))
    mirror_run_record(connect(run.tracking_uri), run)
    assert tracked_run_record(run.tracking_uri, run.run_name).steps == [STEPS[0]]


def test_a_run_that_mlflow_does_not_know(uri: str, tmp_path: Path) -> None:
    assert tracked_run_record(uri, JOB).steps == []
    assert tracked_run_record(f"sqlite:///{tmp_path / 'none.db'}", JOB).steps == []
    assert not (tmp_path / "none.db").exists()


def test_a_long_step_is_seen_while_it_runs(tmp_path: Path) -> None:
    """With a real server: a local store is not copied to."""
    with mlflow_server(tmp_path) as uri:
        client = connect(uri)
        run_id = open_run(
            client, experiment="long", artifact_location=None, run_name="r", tags={}, params={}, job_id=JOB
        )
        run = RunReference(run_name="r", storage=str(tmp_path), tracking_uri=uri, tracking_run_id=run_id)
        keep(run, STEPS[0])

        def seen_in_mlflow(step: StepRecord) -> bool:
            return step in tracked_run_record(uri, JOB).steps

        with mirrored_step(run, "train", seconds=0.01):
            keep(run, train := StepRecord(step="train", state="running", started=1.0))
            until(lambda: seen_in_mlflow(STEPS[0]) and seen_in_mlflow(train))
            keep(run, later := StepRecord(step="train", state="running", started=1.0, said="Finished epoch 3 / 8"))
            until(lambda: seen_in_mlflow(later))


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Ask until it holds; each asking takes its time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


def test_an_mlflow_that_is_gone_is_no_error_for_a_step_and_one_for_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = RunReference(
        run_name="r", storage=str(tmp_path), tracking_uri="http://127.0.0.1:9", tracking_run_id="0" * 32
    )
    mirror_if_taken(connect(gone.tracking_uri), gone)
    with pytest.raises(StorageError, match="cannot be asked"):
        tracked_run_record(gone.tracking_uri, JOB)
