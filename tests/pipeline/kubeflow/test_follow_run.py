"""Waiting for a run: its steps, how it ends, and what happens to the connection meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kubeflow_api_double import KubeflowDouble, Request
from kubeflow_store import Look
from stopped_clock import Clock
from workflow_tasks import ROUNDS, Progress, container_tasks, nodes_of, pod_of, task_details

from sanefit.components.foundation.errors import RunFailedError
from sanefit.pipeline.compile import compile_pipeline
from sanefit.pipeline.container_images import container_images
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.follow_run import LONGEST_INTERVAL, PATIENCE, Followed, follow
from sanefit.pipeline.kubeflow.runs.run_progress import duration
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader
from sanefit.pipeline.kubeflow.runs.submit import submit
from sanefit.pipeline.kubeflow.runs.workflow_nodes import node_id
from sanefit.pipeline.settings.run_config import RunConfig
from sanefit.pipeline.task_names import task_named

pytestmark = pytest.mark.slow

COARSE = 3  # the turn of the coarse packs
Lines = list[tuple[str, str]]
Run = Callable[..., tuple[Followed, Lines]]


@pytest.fixture(scope="module")
def spec(compiled: Path) -> dict[str, object]:
    documents = list(yaml.safe_load_all(compiled.read_text()))
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {**documents[0], "kubernetes": executors}


@pytest.fixture(params=[True, False], ids=["tried again", "tried once"])
def tried(request: pytest.FixtureRequest, double: KubeflowDouble) -> bool:
    """Whether Argo tries every node again, as Kubeflow 2.17 installs it."""
    double.store.tried = request.param
    return bool(request.param)


@pytest.fixture(params=[True, False], ids=["v1beta1", "without v1beta1"])
def older_api(request: pytest.FixtureRequest, double: KubeflowDouble) -> None:
    """Whether Kubeflow gives Argo's workflow."""
    double.store.older_api = request.param


@pytest.fixture
def watch(double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, clock: Clock, silent: RecordReader) -> Run:
    """Submit a run that goes through the given looks, says nothing of itself that can be read, and follow it."""

    def run(*looks: Look, timeout: float | None = None, config: RunConfig = config) -> tuple[Followed, Lines]:
        double.store.script = [*looks]
        submitted = submit(config, kubeflow, "digits-1")
        lines: Lines = []
        followed = follow(
            kubeflow, submitted.run_id, lambda *line: lines.append(line), silent, timeout, clock, clock.sleep
        )
        return followed, lines

    return run


def test_every_task_of_the_pipeline_has_a_name_for_users(spec: dict[str, object]) -> None:
    assert all(task_named(path.rsplit(".", 1)[-1]) for path in container_tasks(spec))


def test_node_ids_are_those_of_argo() -> None:
    # As in a workflow that Argo ran.
    assert node_id("resubmit-hl9ft", "resubmit-hl9ft.A") == "resubmit-hl9ft-3929423573"
    assert node_id("resubmit-hl9ft", "resubmit-hl9ft") == "resubmit-hl9ft"


@pytest.mark.usefixtures("tried", "older_api")
def test_a_run_that_succeeds(watch: Run, spec: dict[str, object]) -> None:
    turns = max(node.turn for node in nodes_of(spec, "w")) + 1
    followed, lines = watch(
        Look("PENDING"), *(Look("RUNNING", done) for done in range(turns)), Look("SUCCEEDED", turns)
    )
    assert followed.succeeded
    assert followed.ending.failure is None
    assert lines[0] == ("run", "pending")
    assert ("close run", "succeeded in 7 s") in lines[-2:]
    began = [step for step, text in lines if text == "running" and step != "run"]
    assert began == [
        "prepare",
        "stats",
        "sanity",
        "coarse pack 1",
        "coarse pack 2",
        "narrow search",
        "fine pack 1",
        "fine pack 2",
        "train",
        "register",
        "close run",
    ]
    assert [step for step, text in lines if text == "succeeded in 7 s"] == began
    assert {step.name for step in followed.steps} == {*began}


def test_a_line_appears_once(watch: Run) -> None:
    _, lines = watch(*[Look("RUNNING", 1)] * 5, Look("SUCCEEDED", 99))
    assert len(lines) == len(set(lines))


@pytest.mark.usefixtures("tried", "older_api")
@pytest.mark.parametrize(
    ("packs", "tenth"), [(12, "coarse-pack-10"), (ROUNDS, "iteration-iterations(9:9).iteration-item.coarse-pack")]
)
def test_packs_are_told_apart_whatever_their_order(packs: int, tenth: str, watch: Run, config: RunConfig) -> None:
    """A few are tasks of their own, many are rounds of a loop."""
    many = config.model_copy(update={"search": config.search.model_copy(update={"packs": packs})})
    followed, lines = watch(Look("RUNNING", COARSE), Look("FAILED", COARSE, tenth), config=many)
    running = [step for step, text in lines if "pack" in step and text == "running"]
    assert sorted(running) == sorted(f"coarse pack {number}" for number in range(1, packs + 1))
    assert [step.name for step in followed.steps if step.state == "FAILED"] == ["coarse pack 10"]


@pytest.fixture
def failing_log(double: KubeflowDouble) -> Callable[[str, str], None]:
    """Give the pod of a task a log, as soon as the run's id is known."""

    def give(task: str, text: str) -> None:
        def before(_: Request) -> None:
            for run in double.store.runs.values():
                double.store.logs[pod_of(double.store.nodes(run), task)] = text

        double.before = before

    return give


@pytest.mark.usefixtures("tried", "older_api")
def test_a_failure_is_explained_by_the_log_of_the_step(watch: Run, failing_log: Callable[[str, str], None]) -> None:
    record = '{"message": "identical neurons; --set network.init=he", "exit_status": 1}'
    failing_log("sanity", f"[sanefit gate] W1 fails\n[sanefit-error gate] {record}\n[sanefit-timing] {{}}\n")
    followed, lines = watch(Look("RUNNING", 2), Look("FAILED", 2, "sanity"))
    assert followed.ending.state == "failed"
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == "gate: identical neurons; --set network.init=he"
    assert ("sanity", "failed in 7 s") in lines


@pytest.mark.usefixtures("tried", "older_api")
@pytest.mark.parametrize("queue", [{}, {"kueue_queue": "gpus"}, {"kueue_queue": "gpus", "kueue_priority_class": "low"}])
def test_the_log_of_a_pack_is_found_by_its_pod(
    queue: dict[str, str], watch: Run, failing_log: Callable[[str, str], None], config: RunConfig
) -> None:
    failing_log("fine-pack-2", "Traceback (most recent call last):\n  File x\ntorch.OutOfMemoryError: CUDA\n")
    queued = config.model_copy(update={"cluster": config.cluster.model_copy(update=queue)})
    followed, _ = watch(Look("RUNNING", 4), Look("FAILED", 5, "fine-pack-2"), config=queued)
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == "fine pack 2: torch.OutOfMemoryError: CUDA"


@pytest.mark.parametrize("how", [404, 500, "drop", "login page"])
def test_a_log_that_cannot_be_had_is_done_without(how: str | int, watch: Run, double: KubeflowDouble) -> None:
    double.fail("GET", "/log$", how, times=99)
    followed, _ = watch(Look("FAILED", 2, "sanity"))
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == "sanity: it ended without a word; see its log"


def task(name: str, state: str, message: str = "", start: int = 0) -> dict[str, object]:
    """A task of a server that says more than today's, or less."""
    error = {"error": {"code": 2, "message": message}} if message else {}
    return {"display_name": name, "state": state, "start_time": f"2026-11-23T12:00:{start:02}Z", **error}


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ([task("sanity", "FAILED", "OOMKilled\n(exit code 137)")], "sanity: OOMKilled (exit code 137)"),
        (
            [
                task("root", "FAILED", "child failed"),
                task("sanity", "FAILED", start=1),
                task("executor", "FAILED", "OOMKilled", 2),
            ],
            "sanity: OOMKilled",
        ),
        ([task("close-run", "FAILED", "late"), task("train-pack", "FAILED", "first", 5)], "pack: first"),
        ([task("sanity-driver", "FAILED")], "sanity: Kubeflow could not prepare it: its driver failed"),
        ([task("sanity", "FAILED")], "sanity: it ended without a word; see its log"),
        ([], "Kubeflow gives no reason"),
    ],
)
def test_reasons_from_the_api(tasks: list[dict[str, object]], line: str, watch: Run) -> None:
    followed, _ = watch(Look("FAILED", tasks=tasks))
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == line


def test_a_reason_of_the_run_itself(watch: Run) -> None:
    followed, _ = watch(Look("FAILED", tasks=[], error={"code": 2, "message": "workflow refused: quota"}))
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == "workflow refused: quota"


def test_a_run_that_was_cancelled(watch: Run) -> None:
    followed, _ = watch(Look("RUNNING", 2), Look("CANCELING", 2), Look("CANCELED", 2))
    assert followed.ending.state == "stopped"
    assert followed.ending.failure is not None
    assert followed.ending.failure.line() == "on request: sanefit runs stop, or Kubeflow's page"
    assert not followed.succeeded


@pytest.mark.parametrize("state", ["HIBERNATING", "RUNTIME_STATE_UNSPECIFIED", "", None, "PAUSED"])
def test_a_state_of_a_newer_server_is_waited_for(state: str | None, watch: Run) -> None:
    odd = [task("sanity", state or "")] if state is not None else [{"display_name": None}, {}]
    followed, lines = watch(Look(state, tasks=odd), Look("SUCCEEDED", tasks=[]))
    assert followed.succeeded
    unknown = state in ("RUNTIME_STATE_UNSPECIFIED", "", None)
    assert ("run", "unknown" if unknown else str(state).lower()) in lines


def test_tasks_without_any_ids_are_numbered(watch: Run) -> None:
    tasks = [
        task("train-pack", "RUNNING", start=2),
        task("train-pack", "SUCCEEDED", start=1),
        task("train-pack", "PENDING"),
    ]
    del tasks[2]["start_time"]
    _, lines = watch(Look("RUNNING", tasks=tasks), Look("SUCCEEDED", tasks=[]))
    assert [(step, text) for step, text in lines if "pack" in step] == [
        ("pack", "succeeded"),
        ("pack (2)", "running"),
        ("pack (3)", "pending"),
    ]


@pytest.mark.parametrize("known", ["its pod is missing", "its place is missing"])
def test_a_pack_of_a_loop_that_cannot_be_told_yet_is_left_out(
    known: str, tried: bool, watch: Run, config: RunConfig, tmp_path: Path
) -> None:
    many = config.model_copy(update={"search": config.search.model_copy(update={"packs": ROUNDS})})
    compile_pipeline(many, container_images(), tmp_path / "pipeline.yaml")
    nodes = nodes_of(next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())), "w", tried)
    tasks = task_details(nodes, "run", Progress(COARSE))
    second = "iteration-iterations(1:1).iteration-item.coarse-pack"
    places = {node.path for node in nodes if node.plain.endswith((second, f"{second}.executor"))}
    hidden = {node_id("w", path) for path in places if "executor" in path or path.endswith("coarse-pack(0)")}
    if known == "its place is missing":
        hidden = {node_id("w", path) for path in places}
    for one in tasks:
        one["child_tasks"] = [child for child in one.get("child_tasks", []) if child["pod_name"] not in hidden]
    _, lines = watch(Look("RUNNING", tasks=tasks), Look("SUCCEEDED", tasks=[]))
    assert {step for step, _ in lines if "pack" in step} == {f"coarse pack {n}" for n in range(1, ROUNDS + 1) if n != 2}


def test_a_run_deleted_meanwhile(watch: Run) -> None:
    with pytest.raises(RunFailedError, match="was deleted while it was waited for") as caught:
        watch(Look("RUNNING", 1), Look(None, gone=True))
    assert caught.value.exit_status == 1


@pytest.mark.parametrize("how", [429, 500, 502, 503, 504, "drop"])
def test_failures_that_pass_are_borne(how: str | int, watch: Run, double: KubeflowDouble) -> None:
    double.fail("GET", r"/runs/[^/]+$", how, times=12, skip=1)
    followed, lines = watch(Look("RUNNING", 1), Look("SUCCEEDED", 99))
    assert followed.succeeded
    assert sum("Kubeflow Pipelines at" in text for _, text in lines) == 1


def test_failures_that_do_not_pass_are_borne_for_ten_minutes(watch: Run, double: KubeflowDouble, clock: Clock) -> None:
    double.fail("GET", r"/runs/[^/]+$", 503, times=10_000, skip=1)
    began = clock.now
    with pytest.raises(KubeflowError, match="not available") as caught:
        watch(Look("RUNNING", 1))
    assert caught.value.exit_status == 1
    assert PATIENCE < clock.now - began < PATIENCE + 60


@pytest.mark.parametrize(("how", "status"), [(401, 2), (403, 2), ("login page", 2)])
def test_losing_the_right_to_look_ends_the_waiting(
    how: str | int, status: int, watch: Run, double: KubeflowDouble
) -> None:
    double.fail("GET", r"/runs/[^/]+$", how, times=99, skip=1)
    with pytest.raises(KubeflowError, match="the run goes on") as caught:
        watch(Look("RUNNING", 1), Look("SUCCEEDED", 99))
    assert caught.value.exit_status == status


def test_a_time_limit_leaves_the_run_alone(watch: Run, double: KubeflowDouble, clock: Clock) -> None:
    began = clock.now
    with pytest.raises(RunFailedError, match=r"still running after 1 min 40 s; the run goes on: sanefit runs show"):
        watch(*[Look("RUNNING", 1)] * 99, timeout=100)
    assert clock.now - began == pytest.approx(100)
    assert not any("terminate" in written for written in double.written)


def test_ctrl_c_leaves_the_run_alone(
    double: KubeflowDouble, kubeflow: Kubeflow, config: RunConfig, silent: RecordReader
) -> None:
    submitted = submit(config, kubeflow, "digits-1")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(RunFailedError, match=f"stopped waiting; the run goes on: .*{submitted.run_id}"):
        follow(kubeflow, submitted.run_id, lambda *_: None, silent, sleep=interrupt)
    assert not any("terminate" in written for written in double.written)


def test_looks_grow_rarer(watch: Run, clock: Clock) -> None:
    watch(*[Look("RUNNING", 1)] * 12, Look("SUCCEEDED", 99))
    assert clock.slept[0] == 2.0
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == LONGEST_INTERVAL


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7384, "2 h 3 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
