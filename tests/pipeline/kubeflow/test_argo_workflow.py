"""What Argo says where no step can: a container that never started, a run that was stopped, a pod that waits."""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from kubeflow_api_double import KubeflowDouble
from kubeflow_store import Look
from stopped_clock import Clock
from workflow_tasks import pod_of

from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.argo_workflow import plain_path, workflow_from
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run, list_runs, retry_run, stop_run
from sanefit.pipeline.kubeflow.runs.follow_run import QUIET_SECONDS, Followed, follow
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader
from sanefit.pipeline.kubeflow.runs.run_summaries import columns, details, look_into
from sanefit.pipeline.kubeflow.runs.submit import submit
from sanefit.pipeline.settings.run_config import RunConfig

pytestmark = pytest.mark.slow

TOO_LONG = 'Error (exit code 128): failed to create task: exec: "argoexec": argument list too long: unknown'
NO_ROOM = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
NO_IMAGE = 'ImagePullBackOff: Back-off pulling image "registry.example.com/team/trainer@sha256:ab"'
ON_REQUEST = "on request: sanefit runs stop, or Kubeflow's page"
PACK = "coarse-pack-2"
Run = Callable[..., tuple[Followed, list[tuple[str, str]]]]


@pytest.fixture
def watch(double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock, silent: RecordReader) -> Run:
    """Submit a run that goes through the given looks, and follow it."""

    def run(*looks: Look) -> tuple[Followed, list[tuple[str, str]]]:
        double.store.script = [*looks]
        submitted = submit(config, kubeflow, "digits-1")
        lines: list[tuple[str, str]] = []
        followed = follow(
            kubeflow, submitted.run_id, lambda *line: lines.append(line), silent, clock=clock, sleep=clock.sleep
        )
        return followed, lines

    return run


@pytest.mark.parametrize(
    ("task", "step", "message"),
    [
        ("narrow-search", "narrow search", TOO_LONG),
        (PACK, "coarse pack 2", NO_IMAGE),
        (PACK, "coarse pack 2", "OOMKilled (exit code 137)"),
        ("sanity", "sanity", "Step exceeded its deadline"),
    ],
)
def test_argo_says_why_a_container_did_not_run_to_its_end(task: str, step: str, message: str, watch: Run) -> None:
    followed, _ = watch(Look("RUNNING", 1), Look("FAILED", 4, task, messages={task: message}))
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == f"{step}: {message}"


@pytest.mark.parametrize("message", ["Error (exit code 1)", "main: Error (exit code 1)", ""])
def test_a_message_that_says_nothing_leaves_the_word_to_the_log(
    message: str, watch: Run, double: KubeflowDouble
) -> None:
    double.before = lambda _: double.store.logs.update(dict.fromkeys(_pods(double, "sanity"), "ValueError: no room\n"))
    followed, _ = watch(Look("FAILED", 2, "sanity", messages={"sanity": message}))
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == "sanity: ValueError: no room"


def test_a_driver_that_fails_says_why(watch: Run) -> None:
    denied = "Error (exit code 1): driver execution failed: pods is forbidden: exceeded quota"
    followed, _ = watch(Look("FAILED", 2, "sanity-driver", messages={"sanity-driver": denied}))
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == f"sanity: {denied}"


def _pods(double: KubeflowDouble, task: str) -> list[str]:
    return [pod_of(double.store.nodes(run), task) for run in double.store.runs.values()]


@pytest.mark.parametrize("message", [NO_ROOM, NO_IMAGE])
def test_what_a_run_waits_for_is_said(message: str, watch: Run, clock: Clock) -> None:
    waiting = Look("RUNNING", 3, messages={PACK: message})
    _, lines = watch(*[waiting] * 9, Look("SUCCEEDED", 99))
    assert ("coarse pack 2", f"pending: {message}") in lines
    assert sum(step == "coarse pack 2" and text.startswith("pending") for step, text in lines) == 1
    assert clock.now - 1000 > QUIET_SECONDS


def test_what_a_run_waits_for_is_asked_when_it_has_said_nothing_for_a_minute(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock, silent: RecordReader
) -> None:
    waiting = Look("RUNNING", 3, messages={PACK: NO_ROOM})
    double.store.script = [*[waiting] * 12, Look("SUCCEEDED", 99)]
    submitted = submit(config, kubeflow, "digits-1")
    silent.last = RunRecord(steps=[StepRecord(step="coarse plan", state="succeeded", started=1.0, ended=2.0)])
    lines: list[tuple[float, str, str]] = []
    follow(
        kubeflow,
        submitted.run_id,
        lambda *line: lines.append((clock.now, *line)),
        silent,
        clock=clock,
        sleep=clock.sleep,
    )
    [(when, _, text)] = [line for line in lines if line[1] == "coarse pack 2" and "pending" in line[2]]
    assert text == f"pending: {NO_ROOM}"
    assert when >= 1000 + QUIET_SECONDS
    asked = sum("v1beta1" in request.path for request in double.requests)
    assert asked <= 1 + (clock.now - 1000) / QUIET_SECONDS, "Argo's workflow is large"


@pytest.mark.parametrize("listed", [None, 4])
def test_nodes_that_argo_compressed_are_read(listed: int | None, watch: Run) -> None:
    """Kubeflow's list ends in the middle of the coarse stage, and Argo's nodes go on to the end."""
    followed, lines = watch(Look("RUNNING", 7, listed=listed), Look("SUCCEEDED", 99, listed=listed))
    assert [step.name for step in followed.steps][-5:] == [
        "fine pack 1",
        "fine pack 2",
        "train",
        "register",
        "close run",
    ]
    assert {step.state for step in followed.steps} == {"SUCCEEDED"}
    assert ("train", "succeeded in 7 s") in lines


def test_a_run_that_was_stopped_is_shown_so(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock, silent: RecordReader
) -> None:
    """It ends as failed, and Argo says `retry exceeded workflow deadline`; it is no failure of its first step."""
    double.store.script = [Look("RUNNING", 1)]
    submitted = submit(config, kubeflow, "digits-1")
    assert stop_run(kubeflow, find_run(kubeflow, "digits-1")) == "is being stopped"
    followed = follow(kubeflow, submitted.run_id, lambda *_: None, silent, clock=clock, sleep=clock.sleep)
    assert double.store.runs[submitted.run_id]["state"] == "FAILED"
    assert followed.ending.state == "stopped"
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == ON_REQUEST
    assert not followed.succeeded
    [line] = columns(list_runs(kubeflow, 10))
    assert " stopped " in line
    found = find_run(kubeflow, "digits-1")
    known = details(look_into(kubeflow, found, silent(found)))
    assert (known["state"], known["error"]) == ("stopped", ON_REQUEST)
    again = retry_run(kubeflow, found)
    assert not any(written.endswith(":retry") for written in double.written), "it would fail at once"
    assert (again.display_name, again.runtime_config.parameters["run_name"]) == ("digits-1-again", "digits-1-again")
    assert again.pipeline_version_reference == found.pipeline_version_reference
    assert again.experiment_id == found.experiment_id
    given = found.runtime_config.parameters
    assert {**again.runtime_config.parameters, "run_name": given["run_name"]} == given
    assert retry_run(kubeflow, find_run(kubeflow, "digits-1")).display_name == "digits-1-again-2"


def test_a_stop_that_kubeflows_history_does_not_have_is_in_the_workflow(watch: Run, double: KubeflowDouble) -> None:
    """The run ended before the server looked at it again."""
    double.before = lambda _: [run.update(deadline=0) for run in double.store.runs.values()]  # type: ignore[assignment]
    followed, _ = watch(Look("RUNNING", 1), Look("FAILED", 2, "sanity"))
    assert followed.ending.state == "stopped"


@pytest.mark.parametrize(
    ("deadline", "words"), [(7200, "its time limit, cluster.run_timeout_seconds=7200"), (None, "before it was retried")]
)
def test_a_time_limit_stops_a_run_too(deadline: int | None, words: str, watch: Run, double: KubeflowDouble) -> None:
    exceeded = "retry exceeded workflow deadline 2026-11-23 14:00:00 +0000 UTC"
    double.before = lambda _: [run.update(deadline=deadline) for run in double.store.runs.values()]  # type: ignore[assignment]
    followed, _ = watch(Look("FAILED", 3, PACK, message=exceeded))
    assert followed.ending.state == "stopped"
    assert followed.ending.failure is not None
    assert words in followed.ending.failure.line()
    assert exceeded in followed.ending.failure.line()


def test_a_run_that_fails_within_its_time_limit_is_no_stopped_one(watch: Run, double: KubeflowDouble) -> None:
    double.before = lambda _: [run.update(deadline=7200) for run in double.store.runs.values()]  # type: ignore[assignment]
    followed, _ = watch(Look("FAILED", 3, PACK, messages={PACK: "Max duration limit exceeded"}))
    assert followed.ending.state == "failed"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("w(0).root(0).exit-handler-1(0).gate(0).executor(0)", "w.root.exit-handler-1.gate.executor"),
        ("w(0).root(1).loop(0).iterations(3:3)(0).pack(2)", "w.root.loop.iterations(3:3).pack"),
        ("w.root.gate", "w.root.gate"),
    ],
)
def test_paths_without_the_numbers_of_tries(name: str, plain: str) -> None:
    assert plain_path(name) == plain


def test_pods_are_named_as_the_workflow_says() -> None:
    node = {"id": "w-77", "name": "w.gate", "templateName": "system-container-impl", "type": "Pod", "phase": "Failed"}
    packed = base64.b64encode(gzip.compress(json.dumps({"w-77": node}).encode())).decode()

    def pod(annotations: dict[str, str], status: dict[str, Any]) -> str:
        [found] = workflow_from({"metadata": {"name": "w", "annotations": annotations}, "status": status}).nodes
        return found.pod

    assert pod({}, {"nodes": {"w-77": node}}) == "w-system-container-impl-77"
    assert pod({}, {"compressedNodes": packed}) == "w-system-container-impl-77"
    assert pod({"workflows.argoproj.io/pod-name-format": "v1"}, {"nodes": {"w-77": node}}) == "w-77"
