"""Results on their way to a server that is killed, hangs, or dies before it can answer: all there in the end, once."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from containers.servers import mlflow_server
from free_ports import free_port
from mlflow import MlflowClient
from said import Said
from trial_results import made_up_result

from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.tracking.child_runs import ChildRun
from sanefit.components.foundation.tracking.connection import TIMEOUT, connect
from sanefit.components.foundation.tracking.runs import open_run
from sanefit.components.foundation.tracking.untracked import QUIET_SECONDS, Outbox, Untracked, fill_in_untracked

pytestmark = pytest.mark.slow

EPOCHS, TRIALS = 4, 6


def trial(number: int) -> Untracked:
    result = made_up_result(number, 0.75, epochs=EPOCHS)
    return Untracked(
        child=ChildRun(
            name=f"coarse-{number:04d}",
            params={"learning_rate": "0.1"},
            tags={},
            epochs=result.epochs,
            summary={},
            started=1e9,
            ended=1e9 + 60,
            failed=False,
        )
    )


def opened(uri: str, storage: Path) -> RunReference:
    run_id = open_run(connect(uri), experiment="e", artifact_location=None, run_name="run", tags={}, params={})
    return RunReference(run_name="run", storage=str(storage), tracking_uri=uri, tracking_run_id=run_id)


def waiting(run: RunReference) -> list[str]:
    return sorted(path.stem for path in Path(Storage(run.storage).run(run.run_name).untracked).glob("*.json"))


def assert_all_there_once(run: RunReference, numbers: range = range(TRIALS)) -> None:
    client = MlflowClient(run.tracking_uri)
    experiment = client.get_run(run.tracking_run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run.tracking_run_id}'")
    assert sorted(child.info.run_name for child in found) == [f"coarse-{number:04d}" for number in numbers]
    for child in found:
        assert (child.info.status, child.data.params) == ("FINISHED", {"learning_rate": "0.1"})
        points = client.get_metric_history(child.info.run_id, "validation_accuracy")
        assert sorted(point.step for point in points) == list(range(1, EPOCHS + 1))
    assert waiting(run) == []


def outbox_of(run: RunReference, **options: Any) -> Outbox:
    return Outbox(run, lambda: connect(run.tracking_uri), **options)


def test_what_a_server_that_is_gone_does_not_take_is_filled_in_when_it_is_back(tmp_path: Path) -> None:
    port, said = free_port(), Said()
    with mlflow_server(tmp_path, port=port) as uri:
        run = opened(uri, tmp_path / "storage")
        outbox_of(run).write(trial(0))
    outbox = outbox_of(run)
    for number in range(1, TRIALS):
        outbox.write(trial(number))
    outbox.write(Untracked(figures={"test_accuracy": 0.75}, at=1e9))
    assert waiting(run) == sorted([*(f"coarse-{number:04d}" for number in range(1, TRIALS)), "figures"])
    assert not fill_in_untracked(run, said, patience=0.0)
    assert said[-1].startswith(f"warning: MLflow at {uri!r} does not take 6 results (")
    with ExitStack() as servers:

        def sleep(_seconds: float) -> None:
            servers.enter_context(mlflow_server(tmp_path, port=port))

        assert fill_in_untracked(run, said, sleep=sleep)
        assert said[-1] == "6 of 6 results that MLflow had not taken are in it now"
        assert_all_there_once(run)
        assert MlflowClient(uri).get_run(run.tracking_run_id).data.metrics == {"test_accuracy": 0.75}
        assert fill_in_untracked(run, said)
        assert len(said) == 2


@pytest.fixture
def store(tmp_path: Path) -> RunReference:
    return opened(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "storage")


class Unanswered(MlflowClient):
    """Does what it is asked, but the answer to its n-th writing call is lost."""

    def __init__(self, uri: str, call: int) -> None:
        super().__init__(uri)
        self.left = call

    def _lose(self, answer: Any) -> Any:
        self.left -= 1
        if self.left == -1:
            raise ConnectionError("reset by peer")
        return answer

    def create_run(self, *args: Any, **rest: Any) -> Any:
        return self._lose(super().create_run(*args, **rest))

    def log_batch(self, *args: Any, **rest: Any) -> Any:
        return self._lose(super().log_batch(*args, **rest))

    def set_terminated(self, *args: Any, **rest: Any) -> Any:
        return self._lose(super().set_terminated(*args, **rest))


@pytest.mark.parametrize("call", range(3))
def test_an_answer_that_is_lost_makes_no_second_run(store: RunReference, call: int) -> None:
    clients = iter([Unanswered(store.tracking_uri, call)])
    outbox = Outbox(store, lambda: next(clients, connect(store.tracking_uri)))
    outbox.write(trial(0))
    assert (waiting(store), outbox.reason) == (["coarse-0000"], "reset by peer")
    assert outbox.fill_in()
    assert_all_there_once(store, range(1))


def test_those_that_wait_are_written_with_the_next_one_after_a_pause(store: RunReference) -> None:
    now, refused = [0.0], [True]

    def client() -> MlflowClient:
        if refused[0]:
            raise ConnectionError("refused")
        return connect(store.tracking_uri)

    outbox = Outbox(store, client, clock=lambda: now[0])
    outbox.write(trial(0))
    refused[0] = False
    outbox.write(trial(1))
    assert waiting(store) == ["coarse-0000", "coarse-0001"]
    now[0] += QUIET_SECONDS
    outbox.write(trial(2))
    assert_all_there_once(store, range(3))


def test_what_mlflow_refuses_or_is_damaged_holds_up_nothing_else(store: RunReference) -> None:
    said, outbox = Said(), outbox_of(store)
    too_long = Untracked(tags={"x" * 300: "a tag's name is longer than MLflow takes"})
    outbox.write(too_long)
    outbox.write(trial(0))
    assert (waiting(store), outbox.refused, outbox.kept) == (["figures"], ["figures"], [])
    folder = Path(Storage(store.storage).run(store.run_name).untracked)
    (folder / "coarse-0009.json").write_text("{")
    (folder / "coarse-0001.json").write_text(trial(1).model_dump_json())
    assert not fill_in_untracked(store, said, sleep=pytest.fail)
    assert waiting(store) == ["coarse-0009", "figures"]
    assert said[0] == "1 of 3 results that MLflow had not taken are in it now"
    assert said[1].startswith("warning: MLflow at ")
    for left in folder.iterdir():
        left.unlink()
    assert_all_there_once(store, range(2))


@pytest.fixture
def silent_server() -> Iterator[tuple[str, Callable[[], int]]]:
    """Takes every connection, and never answers; its URI, and how many there were."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    taken.append(listening.accept()[0])
            except OSError:
                pass

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", lambda: len(taken)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in taken:
            connection.close()


def test_a_server_that_hangs_is_asked_once_not_for_every_trial(
    silent_server: tuple[str, Callable[[], int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TIMEOUT, "1")
    uri, connections = silent_server
    run = RunReference(run_name="run", storage=str(tmp_path), tracking_uri=uri, tracking_run_id="0" * 32)
    outbox = outbox_of(run, clock=lambda: 0.0)
    for number in range(TRIALS):
        outbox.write(trial(number))
    assert (len(waiting(run)), connections()) == (TRIALS, 1)
