"""A store that another process has locked is waited for, and named; one that this MLflow cannot read is one line."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from said import Said

from sanefit.components.foundation.errors import RunFailedError, StorageError
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.locked_store import wait_until_unlocked
from sanefit.components.foundation.tracking.readiness import patiently, wait_for_run

LOCK = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    sqlite3.connect(path).execute("CREATE TABLE anything (x)").connection.close()
    return path


@pytest.fixture
def locker(store: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", LOCK, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_store_that_is_locked_is_waited_for_and_whoever_has_it_open_is_named(
    store: Path, locker: "subprocess.Popen[str]"
) -> None:
    said, slept = Said(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            locker.kill()
            locker.wait()

    wait_until_unlocked(f"sqlite:///{store}", said, sleep=sleep)
    assert len(slept) == 2
    [line] = said
    assert line.startswith(f"waiting for MLflow's store '{store}', which another process has locked (open in process ")
    assert f"process {locker.pid}, " in line


def test_one_that_stays_locked_is_one_line(store: Path, locker: "subprocess.Popen[str]") -> None:
    with pytest.raises(
        StorageError, match=rf"has been locked for 0 s by another process \(open in process {locker.pid}"
    ):
        wait_until_unlocked(f"sqlite:///{store}", Said(), patience=0)


@pytest.mark.parametrize("uri", ["sqlite:///{folder}/none.db", "sqlite:///{folder}/mlflow.db", "http://127.0.0.1:1"])
def test_nothing_is_waited_for_where_nothing_is_locked(uri: str, store: Path) -> None:
    wait_until_unlocked(uri.format(folder=store.parent), Said(), sleep=pytest.fail)
    assert sorted(path.name for path in store.parent.iterdir()) == ["mlflow.db"]


def test_a_store_of_another_version_of_mlflow_is_one_line(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    connect(uri).create_experiment("pets", tmp_path.as_uri())
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("update alembic_version set version_num = 'feedbeef0001'")
    asked = [
        sys.executable,
        "-c",
        f"from sanefit.components.foundation.tracking.connection import connect; connect({uri!r})",
    ]
    last = subprocess.run(asked, capture_output=True, text=True).stderr.strip().splitlines()[-1]
    assert last.startswith("sanefit.components.foundation.errors.StorageError: MLflow's store ")
    assert "found version feedbeef0001" in last
    assert f"`mlflow db upgrade {uri}`" in last


@pytest.fixture
def client(tmp_path: Path) -> Client:
    found = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    found.create_experiment("pets", (tmp_path / "artifacts").as_uri())
    return found


def test_what_does_not_answer_is_asked_again_and_then_named() -> None:
    answers = iter([ConnectionError("refused"), ConnectionError("refused"), 3])

    def ask() -> int:
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    said = Said()
    assert patiently(ask, "http://mlflow", said, sleep=lambda _: None) == 3
    assert said == ["waiting for MLflow at 'http://mlflow': refused"]
    answers = iter([ConnectionError("refused")])
    with pytest.raises(RunFailedError, match=r"has not answered for 0 s: refused; .*run again"):
        patiently(ask, "http://mlflow", said, patience=0)


def test_a_run_that_was_deleted_meanwhile_is_said_with_the_way_out(client: Client) -> None:
    [experiment] = [one for one in client.search_experiments() if one.name == "pets"]
    run_id = client.create_run(experiment.experiment_id).info.run_id
    wait_for_run(client, run_id, Said())
    client.delete_run(run_id)
    with pytest.raises(RunFailedError, match=f"`mlflow runs restore --run-id {run_id}` brings it back"):
        wait_for_run(client, run_id, Said())
    with pytest.raises(RunFailedError, match="no command brings it back"):
        wait_for_run(client, "0" * 32, Said())
