"""Trials on their way to MLflow, in a process beside the one that trains."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from said import Said
from trial_results import made_up_result

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.run_record import PackProgress, StepRecord
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.storage.run_record import read_run_record
from sanefit.components.foundation.tracking.connected import is_connected
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.hyperparameter_search.pack import trial_log
from sanefit.components.hyperparameter_search.pack.trial_log import TrialLog, tracking_process

pytestmark = pytest.mark.slow

SECONDS = 60
# What a pack's step does: the tracking process is there before torch is.
PACK = """
import os, sys
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import TrialResult
from sanefit.components.hyperparameter_search.pack.trial_log import TrialLog, tracking_process

def imported():
    return os.getpid(), {"mlflow", "torch"} & set(sys.modules)

run, result = RunReference.model_validate_json(sys.argv[1]), TrialResult.model_validate_json(sys.argv[2])
with tracking_process(run.tracking_uri) as process:
    import torch
    log = TrialLog(process, run, "coarse")
    log.add(result)
    log.add(result)
    log.close(print)
    number, modules = process.submit(imported).result()
print(number != os.getpid(), sorted(modules), "mlflow" in sys.modules)
"""


@pytest.fixture
def parent(tmp_path: Path) -> RunReference:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run_id = open_run(
        connect(uri), experiment="log", artifact_location=str(tmp_path), run_name="run", tags={}, params={}
    )
    return RunReference(run_name="run", storage="", tracking_uri=uri, tracking_run_id=run_id)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def children(parent: RunReference) -> list[str]:
    client = connect(parent.tracking_uri)
    experiment = client.get_run(parent.tracking_run_id).info.experiment_id
    query = f"tags.`mlflow.parentRunId` = '{parent.tracking_run_id}'"
    return sorted(str(run.info.run_name) for run in client.search_runs([experiment], query))


def test_a_process_of_its_own_writes_a_trial_once_and_needs_no_torch(parent: RunReference) -> None:
    result = made_up_result(3, 0.75)
    command = [sys.executable, "-c", PACK, parent.model_dump_json(), result.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout.split("\n")[-2] == "True ['mlflow'] False", done.stdout + done.stderr
    assert children(parent) == ["coarse-0003"]


def test_trials_are_there_when_the_log_is_closed(parent: RunReference, thread: ThreadPoolExecutor) -> None:
    log = TrialLog(thread, parent, "fine")
    for number in range(5):
        log.add(made_up_result(number, 0.5))
    log.close(print)
    assert children(parent) == [f"fine-{number:04d}" for number in range(5)]


def test_training_does_not_wait_for_mlflow(
    parent: RunReference, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, log_trial = threading.Event(), trial_log.log_trial

    def waiting(*arguments: object) -> None:
        assert released.wait(SECONDS)
        log_trial(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trial_log, "log_trial", waiting)
    log = TrialLog(thread, parent, "coarse")
    log.add(made_up_result(0, 0.5))
    log.add(made_up_result(1, 0.5))
    assert children(parent) == []
    released.set()
    log.close(print)
    assert children(parent) == ["coarse-0000", "coarse-0001"]


def told(ended: int, pack: int = 0) -> PackProgress:
    return PackProgress(
        stage="coarse",
        pack=pack,
        packs=2,
        trials=10,
        trials_in_stage=20,
        ended=ended,
        metric="accuracy",
        best_score=0.5,
        written=float(ended),
    )


def test_how_far_a_pack_is_can_be_read_from_the_runs_folder_and_from_mlflow(
    parent: RunReference, thread: ThreadPoolExecutor, tmp_path: Path
) -> None:
    run = parent.model_copy(update={"storage": str(tmp_path)})
    folder = Storage(run.storage).run(run.run_name)
    plan = StepRecord(step="coarse plan", state="succeeded", started=1.0, ended=2.0)
    object_store.write_bytes(folder.step(plan.step), plan.model_dump_json().encode())
    log = TrialLog(thread, run, "coarse")
    for ended in range(11):
        log.tell(told(ended))
    log.close(print)
    assert read_run_record(folder).packs == [told(10)]
    tags = connect(run.tracking_uri).get_run(run.tracking_run_id).data.tags
    assert PackProgress.model_validate_json(tags["sanefit.progress.coarse pack 1"]) == told(10)
    assert StepRecord.model_validate_json(tags["sanefit.step.coarse plan"]) == plan, "the first pack copies it"


def test_of_what_is_told_while_something_is_written_only_the_last_is_written(
    parent: RunReference, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(trial_log, "log_progress", lambda _, progress: written.append(progress.ended))
    busy = threading.Event()
    thread.submit(busy.wait)
    log = TrialLog(thread, parent, "coarse")
    for ended in range(100):
        log.tell(told(ended))
    busy.set()
    log.close(print)
    assert written[0] == 0
    assert written[-1] == 99
    assert len(written) <= 3


def test_progress_that_cannot_be_written_is_no_error(parent: RunReference, thread: ThreadPoolExecutor) -> None:
    log = TrialLog(thread, parent.model_copy(update={"storage": "/dev/null/nowhere"}), "coarse")
    log.tell(told(1))
    log.add(made_up_result(0, 0.5))
    log.close(print)
    assert children(parent) == ["coarse-0000"]


def test_what_goes_wrong_is_raised_as_soon_as_it_is_known(
    parent: RunReference, thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ValueError("no such experiment")

    monkeypatch.setattr(trial_log, "log_trial", failing)
    log = TrialLog(thread, parent, "coarse")
    log.add(made_up_result(0, 0.5))
    thread.submit(int).result()  # which is after it
    with pytest.raises(ValueError, match="no such experiment"):
        log.add(made_up_result(1, 0.5))
    with pytest.raises(ValueError, match="no such experiment"):
        TrialLog(thread, parent, "coarse", [thread.submit(failing)]).close(print)


def test_a_process_that_is_killed_is_said(parent: RunReference) -> None:
    with ProcessPoolExecutor(1) as process:
        killed = process.submit(os.kill, process.submit(os.getpid).result(), signal.SIGKILL)
        log = TrialLog(process, parent, "coarse", [killed])
        with pytest.raises(RunFailedError, match="writes trials to MLflow was killed"):
            log.close(print)
        with pytest.raises(RunFailedError, match="writes trials to MLflow was killed"):
            TrialLog(process, parent, "coarse").add(made_up_result(0, 0.5))


def test_a_pack_that_fails_does_not_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    script = f"""
import signal
from sanefit.components.hyperparameter_search.pack.trial_log import tracking_process
with tracking_process("sqlite:///{tmp_path / "mlflow.db"}") as process:
    process.submit(int).result()  # it is connected
    first, *_ = [process.submit(signal.pause) for _ in range(10)]
    while not first.running():
        pass
    raise ValueError("failed")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("ValueError: failed")


def test_what_takes_long_is_said(parent: RunReference, thread: ThreadPoolExecutor) -> None:
    released, said = threading.Event(), Said()
    waiting = [thread.submit(released.wait, SECONDS), thread.submit(int)]

    def say(line: str) -> None:
        said(line)
        released.set()

    TrialLog(thread, parent, "coarse", waiting).close(say, silent_seconds=0.0)  # type: ignore[arg-type]
    assert said == ["2 trials are still to be written to MLflow"]


def test_where_mlflow_is_in_use_already_the_process_starts_from_nothing(parent: RunReference) -> None:
    assert is_connected()
    with tracking_process(parent.tracking_uri) as process:
        command = psutil.Process(process.submit(os.getpid).result()).cmdline()
        assert any("spawn_main" in part for part in command)
        log = TrialLog(process, parent, "coarse")
        log.add(made_up_result(7, 0.5))
        log.close(print)
    assert children(parent) == ["coarse-0007"]
