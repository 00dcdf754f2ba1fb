"""A trial's child run, where the pack that writes it can be killed, against a real store and a real server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from containers.servers import mlflow_server
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Run, ViewType
from mlflow.exceptions import MlflowException
from trial_results import made_up_result

from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.schemas.search import TrialResult
from sanefit.components.foundation.tracking.child_runs import METRICS_PER_BATCH, ChildRun, log_child_run
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.runs import open_run

pytestmark = pytest.mark.slow

EPOCHS = METRICS_PER_BATCH // 5 + 50  # of five values each: two batches
STEPS = list(range(1, EPOCHS + 1))
RESULT = made_up_result(3, 0.75, epochs=EPOCHS, dropout=0.25).model_copy(update={"started": 1e9, "seconds": 60.0})
PARAMS = {"learning_rate": "0.01", "weight_decay": "0.0001", "dropout": "0.25"}
LATER = RESULT.model_copy(update={"started": 2e9})
Points = list[tuple[str, int, float, int]]


@pytest.fixture(scope="module", params=["store", "server"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "store":
        yield connect(f"sqlite:///{folder / 'mlflow.db'}")
        return
    with mlflow_server(folder) as uri:
        yield connect(uri)


@pytest.fixture
def parent(client: Client, request: pytest.FixtureRequest, tmp_path: Path) -> RunReference:
    name = request.node.name
    run_id = open_run(client, experiment="trials", artifact_location=str(tmp_path), run_name=name, tags={}, params={})
    return RunReference(run_name=name, storage="", tracking_uri=client.tracking_uri, tracking_run_id=run_id)


@pytest.fixture
def log(client: Client, parent: RunReference) -> Callable[..., None]:
    def write(result: TrialResult = RESULT, writer: Client = client, under: RunReference = parent) -> None:
        child = ChildRun(
            name="fine-0003",
            params={name: repr(value) for name, value in result.spec.setting.searched.items()},
            tags={"sanefit.stage": "fine", "sanefit.status": result.status},
            epochs=result.epochs,
            summary={"validation_accuracy_fold_1": 0.7},
            started=result.started,
            ended=result.started + result.seconds,
            failed=result.status != "ok",
        )
        log_child_run(writer, under, child)

    return write


def children(client: Client, parent: RunReference) -> list[Run]:
    """Deleted or not."""
    experiment = client.get_run(parent.tracking_run_id).info.experiment_id
    query = f"tags.`mlflow.parentRunId` = '{parent.tracking_run_id}'"
    return list(client.search_runs([experiment], query, ViewType.ALL))


def only_child(client: Client, parent: RunReference) -> Run:
    [run] = children(client, parent)
    return run


def begun(client: Client, parent: RunReference) -> Run:
    """A child as a pack leaves it that was killed when it had created it."""
    return client.create_run(
        client.get_run(parent.tracking_run_id).info.experiment_id,
        run_name="fine-0003",
        tags={"mlflow.parentRunId": parent.tracking_run_id, "sanefit.trial": f"{parent.run_name}/fine-0003"},
    )


def points(client: Client, run: Run) -> Points:
    return sorted(
        (name, point.step, point.value, point.timestamp)
        for name in client.get_run(run.info.run_id).data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )


def assert_complete(client: Client, run: Run) -> None:
    """Ended, with its values, and one point for each value and epoch."""
    assert (run.info.status, run.data.params) == ("FINISHED", PARAMS)
    steps: dict[str, list[int]] = {}
    for name, step, _, _ in points(client, run):
        steps.setdefault(name, []).append(step)
    of_training = ("learning_rate", "train_loss", "train_accuracy")
    curves = (*of_training, "validation_loss", "validation_accuracy", "validation_balanced_accuracy")
    assert steps == dict.fromkeys(curves, STEPS) | {"validation_accuracy_fold_1": [0]}


def test_a_trial_is_one_child_run_with_its_own_times(
    client: Client, parent: RunReference, log: Callable[..., None]
) -> None:
    log()
    run = only_child(client, parent)
    assert_complete(client, run)
    assert (run.info.start_time, run.info.end_time) == (1_000_000_000_000, 1_000_000_060_000)
    assert {timestamp for *_, timestamp in points(client, run)} == {1_000_000_060_000}
    last = RESULT.epochs[-1].validation_accuracy
    assert (run.data.metrics["validation_accuracy"], run.data.metrics["validation_accuracy_fold_1"]) == (last, 0.7)


@pytest.mark.parametrize("again", [RESULT, LATER], ids=["same times", "later"])
def test_a_trial_that_is_logged_again_adds_neither_run_nor_point(
    client: Client, parent: RunReference, log: Callable[..., None], again: TrialResult
) -> None:
    log()
    before = points(client, only_child(client, parent))
    log(again)
    run = only_child(client, parent)
    assert points(client, run) == before
    assert run.info.end_time == 1_000_000_060_000


def test_a_child_that_was_only_created_is_completed(
    client: Client, parent: RunReference, log: Callable[..., None]
) -> None:
    run_id = begun(client, parent).info.run_id
    log()
    run = only_child(client, parent)
    assert run.info.run_id == run_id
    assert_complete(client, run)


class Killed(BaseException):
    """Nothing that a pack could catch."""


class KilledClient(MlflowClient):
    """Its process is killed before, or after, its n-th writing call (counted from 0)."""

    def __init__(self, uri: str, call: int, after: bool) -> None:
        super().__init__(uri)
        self.left, self.after = call, after

    def _write(self, call: Callable[..., Any], *args: Any, **rest: Any) -> Any:
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Killed
        answer = call(*args, **rest)
        if self.left == -1:
            raise Killed
        return answer

    def create_run(self, *args: Any, **rest: Any) -> Any:
        return self._write(super().create_run, *args, **rest)

    def log_batch(self, *args: Any, **rest: Any) -> Any:
        return self._write(super().log_batch, *args, **rest)

    def set_terminated(self, *args: Any, **rest: Any) -> Any:
        return self._write(super().set_terminated, *args, **rest)


@pytest.mark.parametrize("again", [RESULT, LATER], ids=["same times", "later"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(4))
def test_wherever_a_pack_is_killed_the_next_one_completes_its_child(
    client: Client, parent: RunReference, log: Callable[..., None], call: int, after: bool, again: TrialResult
) -> None:
    with pytest.raises(Killed):
        log(writer=KilledClient(client.tracking_uri, call, after))
    log(again)
    log(again)
    assert_complete(client, only_child(client, parent))


def test_one_that_is_killed_again_and_again_is_completed_in_the_end(
    client: Client, parent: RunReference, log: Callable[..., None]
) -> None:
    for call in (1, 0, 1, 1):
        with pytest.raises(Killed):
            log(writer=KilledClient(client.tracking_uri, call, after=False))
    log()
    assert_complete(client, only_child(client, parent))


def test_a_point_that_is_there_stays_and_the_others_are_added(
    client: Client, parent: RunReference, log: Callable[..., None]
) -> None:
    run = begun(client, parent)
    client.log_batch(run.info.run_id, metrics=[Metric("train_loss", 5.0, 7, step) for step in (2, 4)])
    log()
    assert_complete(client, only_child(client, parent))
    losses = [(step, value) for name, step, value, _ in points(client, run) if name == "train_loss"]
    assert losses == [(step, 5.0 if step in (2, 4) else 1.0) for step in STEPS]


def test_one_that_has_every_point_still_gets_its_params(
    client: Client, parent: RunReference, log: Callable[..., None]
) -> None:
    run_id = begun(client, parent).info.run_id
    client.log_batch(run_id, metrics=[Metric("validation_accuracy_fold_1", 0.0, 7, 0)])
    log(made_up_result(3, 0.0, dropout=0.25))
    run = only_child(client, parent)
    assert (run.info.status, run.data.params) == ("FINISHED", PARAMS)


def test_a_trial_without_an_epoch_is_completed_too(
    client: Client, parent: RunReference, log: Callable[..., None]
) -> None:
    begun(client, parent)
    log(made_up_result(3, 0.0, status="out_of_memory", dropout=0.25))
    run = only_child(client, parent)
    assert (run.info.status, run.data.params, run.data.metrics) == (
        "FAILED",
        PARAMS,
        {"validation_accuracy_fold_1": 0.7},
    )


@pytest.mark.parametrize("finished", [True, False])
def test_a_child_that_its_user_deleted_stays_deleted(
    client: Client, parent: RunReference, log: Callable[..., None], finished: bool
) -> None:
    if finished:
        log()
    else:
        begun(client, parent)
    run = only_child(client, parent)
    client.delete_run(run.info.run_id)
    log()
    left = only_child(client, parent)
    assert left.info.lifecycle_stage == LifecycleStage.DELETED
    assert (left.info.run_id, left.data.metrics) == (run.info.run_id, run.data.metrics)


def test_the_same_trial_of_another_run_is_another_child(
    client: Client, parent: RunReference, log: Callable[..., None], tmp_path: Path
) -> None:
    log()
    other_id = open_run(
        client, experiment="trials", artifact_location=str(tmp_path), run_name=f"{parent.run_name}2", tags={}, params={}
    )
    other = parent.model_copy(update={"run_name": f"{parent.run_name}2", "tracking_run_id": other_id})
    log(under=other)
    assert only_child(client, parent).info.run_id != only_child(client, other).info.run_id


def test_what_cannot_be_written_is_an_error_even_where_mlflow_is_told_to_write_later(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    connected = connect(client.tracking_uri)
    with pytest.raises(MlflowException, match="not found"):
        connected.log_batch("0" * 32, metrics=[Metric("validation_accuracy", 0.5, 0, 0)])
