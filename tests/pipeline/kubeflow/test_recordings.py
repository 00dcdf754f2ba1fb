"""What a real Kubeflow answered, replayed: why the gate stopped a run, and every step of one whose tasks froze."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubeflow_api_double import KubeflowDouble, Request
from kubeflow_store import Look
from recordings import recording
from run_that_speaks import REASON, SpeakingRun
from stopped_clock import Clock
from workflow_tasks import node_id

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.run_record import tracked_run_record
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run
from sanefit.pipeline.kubeflow.runs.follow_run import Followed, follow
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader
from sanefit.pipeline.kubeflow.runs.run_summaries import details, details_lines, look_into
from sanefit.pipeline.kubeflow.runs.submit import submit
from sanefit.pipeline.settings.run_config import RunConfig

pytestmark = pytest.mark.slow

GATE, FROZEN = recording("gate-failed"), recording("tasks-frozen")
SAID_IN_THE_LOG = f"[sanefit gate] W1 fails\n[sanefit-error gate] {json.dumps({'message': REASON, 'exit_status': 1})}\n"
AFTER_THE_GATE = [
    *("coarse plan", "coarse pack 1 of 2", "coarse pack 2 of 2", "coarse rank"),
    *("fine plan", "fine pack 1 of 2", "fine pack 2 of 2", "fine rank"),
    *("train", "register", "report", "close run"),
]


@dataclass
class Replayed:
    """A run on the double, the run's own voice, and what reads its record."""

    run_id: str
    voice: SpeakingRun
    reader: RecordReader
    lines: list[tuple[str, str]]


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(params=["storage", "MLflow"])
def replayed(
    request: pytest.FixtureRequest,
    double: KubeflowDouble,
    kubeflow: Kubeflow,
    config: RunConfig,
    tracking_uri: str,
    tmp_path: Path,
) -> Replayed:
    """A submitted run that keeps its record in a folder and in MLflow; one of them can be read from here."""
    submitted = submit(config, kubeflow, "digits-1")
    run_id = open_run(
        connect(tracking_uri),
        experiment="digits",
        artifact_location=str(tmp_path),
        run_name="digits-1",
        tags={},
        params={},
        job_id=submitted.run_id,
    )
    reference = RunReference(
        run_name="digits-1", storage=str(tmp_path / "storage"), tracking_uri=tracking_uri, tracking_run_id=run_id
    )
    if request.param == "storage":
        double.store.runs[submitted.run_id]["runtime_config"]["parameters"]["storage"] = reference.storage

        def tracked(*_: str) -> RunRecord:
            raise StorageError("MLflow is not asked where the storage answers")

        reader = RecordReader(tracked, {})
    else:
        reader = RecordReader(tracked_run_record, {"MLFLOW_TRACKING_URI": tracking_uri})
    began = datetime.fromisoformat(GATE.state_history[-2]["update_time"]).astimezone(UTC).timestamp()
    return Replayed(submitted.run_id, SpeakingRun(reference, Clock(began)), reader, [])


@pytest.fixture
def follow_it(kubeflow: Kubeflow, clock: Clock, replayed: Replayed) -> Callable[[], Followed]:
    def followed() -> Followed:
        replayed.lines.clear()
        return follow(
            kubeflow,
            replayed.run_id,
            lambda *line: replayed.lines.append(line),
            replayed.reader,
            clock=clock,
            sleep=clock.sleep,
        )

    return followed


def ended_as_recorded(double: KubeflowDouble, run_id: str) -> None:
    double.store.runs[run_id]["state_history"] = [dict(status) for status in GATE.state_history]
    double.store.scripts[run_id] = [Look("FAILED", tasks=GATE.tasks)] * 3


@pytest.mark.parametrize("recorded", [GATE, FROZEN], ids=["gate-failed", "tasks-frozen"])
def test_the_doubles_nodes_have_ids_that_are_made_as_the_recorded_ones(recorded: Any) -> None:
    """Each node stands beside its tries, and below the first try of the node above it."""
    names = {task["display_name"] for task in recorded.tasks if "display_name" in task}
    children = {child["pod_name"] for task in recorded.tasks for child in task.get("child_tasks", [])}
    workflow = min((name for name in names if name.startswith("sanefit-training-")), key=len)
    known, reached = {node_id(workflow, f"{workflow}(0)")}, [f"{workflow}(0)"]
    while reached:
        below = [f"{path}.{name}" for path in reached for name in names]
        beside = [f"{path}(0)" for path in reached]
        reached = [path for path in {*below, *beside} if node_id(workflow, path) in children - known]
        known |= {node_id(workflow, path) for path in reached}
    assert known == children


def test_the_reason_of_the_gate_is_found_in_the_log_of_the_pod_that_ran(
    double: KubeflowDouble, replayed: Replayed, follow_it: Callable[[], Followed]
) -> None:
    ended_as_recorded(double, replayed.run_id)
    double.store.logs[GATE.pod] = SAID_IN_THE_LOG
    followed = follow_it()
    assert followed.ending.state == "failed"
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == f"gate: {REASON}"


def test_the_reason_of_the_gate_is_what_the_run_said_when_every_pod_is_gone(
    double: KubeflowDouble, kubeflow: Kubeflow, replayed: Replayed, follow_it: Callable[[], Followed]
) -> None:
    ended_as_recorded(double, replayed.run_id)
    replayed.voice.stopped_at_the_gate()
    failure = follow_it().ending.failure
    assert failure is not None
    assert failure.line() == f"gate: {REASON}"
    found = find_run(kubeflow, replayed.run_id)
    known = look_into(kubeflow, found, replayed.reader(found))
    assert details(known)["error"] == f"gate: {REASON}"
    assert details_lines(known)[-1] == f"{'failed':<14} gate: {REASON}"
    assert not any("/log" in request.path for request in double.requests)


def test_a_reason_from_before_a_retry_is_not_that_of_the_retry(
    double: KubeflowDouble, replayed: Replayed, follow_it: Callable[[], Followed]
) -> None:
    """The first time the gate failed at 02:57, the second at 03:06: its container may not have started then."""
    ended_as_recorded(double, replayed.run_id)
    replayed.voice.clock.now -= 540
    replayed.voice.stopped_at_the_gate()
    failure = follow_it().ending.failure
    assert failure is not None
    assert failure.line() == "gate: it ended without a word; see its log"


def test_every_step_is_shown_although_kubeflows_tasks_freeze(
    double: KubeflowDouble, replayed: Replayed, follow_it: Callable[[], Followed]
) -> None:
    voice, silence = replayed.voice.whole(), object()

    def before(request: Request) -> None:
        """Between two looks the run goes on, and Kubeflow's list does not."""
        if request.path.endswith(f"v2beta1/runs/{replayed.run_id}"):
            state = "RUNNING" if next(voice, silence) is None else "SUCCEEDED"
            double.store.scripts[replayed.run_id] = [Look(state, tasks=FROZEN.tasks)]

    double.before = before
    followed = follow_it()
    assert followed.succeeded
    ended = [step for step, text in replayed.lines if text.startswith("succeeded")]
    assert [step for step in ended if step in AFTER_THE_GATE] == AFTER_THE_GATE
    assert {"snapshot", "stats", "open run", "sanity", "first report", "gate"} <= {*ended}
    assert {(name, "SUCCEEDED") for name in AFTER_THE_GATE} <= {(step.name, step.state) for step in followed.steps}
    coarse = [text for step, text in replayed.lines if step == "coarse search"]
    assert coarse[0] == "0 of 20 trials"
    assert "10 of 20 trials, best validation accuracy 0.9100, about 1 min 0 s left" in coarse
    assert coarse[-1] == "20 of 20 trials, best validation accuracy 0.9100"
    assert ("train", "running: Finished epoch 3 / 8: validation_accuracy: 0.9700") in replayed.lines
    assert replayed.lines[-1] == ("model", "digits version 7, champion: test accuracy 0.9722; better by 0.0100")
    assert (followed.outcome["model_version"], followed.outcome["alias"]) == ("7", "champion")
