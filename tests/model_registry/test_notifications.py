"""Who is told of promotions and failures: real servers and commands, a real MLflow store."""

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kfp import dsl
from said import Said
from webhook import SECRET, Webhook, listening

from sanefit.components.foundation.identity.training_identity import TrainingIdentity
from sanefit.components.foundation.schemas.registry import RegistrySettings
from sanefit.components.foundation.schemas.runs import Registration, RunReference, RunSummary
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.model_registry import run_lifecycle
from sanefit.components.model_registry.component import close_run
from sanefit.components.model_registry.delivery import Patience
from sanefit.components.model_registry.notifications import tell_failure, tell_promotion
from sanefit.components.model_registry.run_lifecycle import open_tracking_run

NAME = "shop"
HURRY = Patience(answer=10, pause=0, command=60)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PROMOTED = Registration(
    model_name=NAME,
    model_version="1",
    model_uri=f"models:/{NAME}/1",
    alias="champion",
    test_accuracy=0.9375,
    champion_version_before="7",
    reason="better: é",
)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with listening() as found:
        yield found


@pytest.fixture
def client(uri: str) -> Client:
    """With a new version of the model, so that nobody was told of it."""
    found = connect(uri)
    if not found.search_registered_models(f"name = '{NAME}'"):
        found.create_registered_model(NAME)
    found.create_model_version(NAME, source="file:///nowhere")
    return found


@pytest.fixture
def registration(client: Client) -> Registration:
    newest = max(int(version.version) for version in client.search_model_versions(f"name = '{NAME}'"))
    return PROMOTED.model_copy(update={"model_version": str(newest), "model_uri": f"models:/{NAME}/{newest}"})


@pytest.fixture
def run(uri: str, storage: Path) -> RunReference:
    return RunReference(run_name="monday", storage=str(storage), tracking_uri=uri, tracking_run_id="")


def tell(settings: RegistrySettings, registration: Registration, run: RunReference, **environment: str) -> Said:
    said = Said()
    tell_promotion(settings, registration, run, said, environment=environment, patience=HURRY, now=lambda: NOW)
    return said


def notified(client: Client, registration: Registration) -> str | None:
    tags: dict[str, str] = client.get_model_version(NAME, registration.model_version).tags
    return tags.get("sanefit.notified")


def test_a_promotion_is_posted_once_with_all_that_is_known(
    hook: Webhook, client: Client, registration: Registration, run: RunReference
) -> None:
    settings = RegistrySettings(notify_url=hook.address)
    said = tell(settings, registration, run)
    assert tell(settings, registration, run) == []
    assert hook.told == [
        {
            "event": "promoted",
            "text": f"{registration.model_uri} is champion, by run monday: better: é",
            "run_name": "monday",
            "model_name": NAME,
            "model_version": registration.model_version,
            "model_uri": registration.model_uri,
            "alias": "champion",
            "test_accuracy": 0.9375,
            "champion_version_before": "7",
            "reason": "better: é",
        }
    ]
    assert hook.requests == [("POST", f"/services/{SECRET}?token={SECRET}", "application/json")]
    assert said == ["127.0.0.1 was told (promoted)"]
    assert notified(client, registration) == "2026-11-27T12:00:00+00:00"


def test_nobody_is_told_of_a_challenger_or_unless_it_is_asked_for(
    hook: Webhook, registration: Registration, run: RunReference
) -> None:
    challenger = registration.model_copy(update={"alias": "challenger"})
    assert tell(RegistrySettings(notify_url=hook.address), challenger, run) == []
    assert tell(RegistrySettings(), registration, run) == []
    tell_failure(RegistrySettings(notify_url=hook.address), NAME, "monday", "", Said(), patience=HURRY)
    assert hook.bodies == []


@pytest.mark.parametrize(
    ("statuses", "requests", "warning"),
    [
        ([500, 500], 3, None),
        ([502, 503, 504], 3, "it answers HTTP 504"),
        ([404], 1, "it answers HTTP 404"),
        ([302], 1, "it answers HTTP 302"),
    ],
)
def test_what_a_server_answers_decides(
    statuses: list[int],
    requests: int,
    warning: str | None,
    client: Client,
    registration: Registration,
    run: RunReference,
) -> None:
    with listening(statuses) as hook:
        settings = RegistrySettings(notify_url=hook.address)
        said = tell(settings, registration, run)
        assert len(hook.requests) == requests
        assert len({*hook.bodies}) == 1
        if warning is None:
            assert notified(client, registration)
            return
        assert said == [f"warning: 127.0.0.1 was not told (promoted): {warning}"]
        assert notified(client, registration) is None
        tell(settings, registration, run)  # the step, tried again
        assert len(hook.requests) == requests + 1
        assert notified(client, registration)


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a port that refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/services/{SECRET}"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/services/{SECRET}"


def test_a_server_that_is_not_there_is_one_line_and_no_error(
    deaf: str, client: Client, registration: Registration, run: RunReference
) -> None:
    said = tell(RegistrySettings(notify_url=deaf), registration, run)
    assert said == ["warning: 127.0.0.1 was not told (promoted): no answer (NewConnectionError)"]
    assert notified(client, registration) is None


def test_a_server_that_does_not_answer_is_not_waited_for(silent: str) -> None:
    said = Said()
    patience = Patience(answer=0.05, pause=0)
    tell_failure(RegistrySettings(notify_url=silent), NAME, "monday", "no room", said, patience=patience)
    assert said == ["warning: 127.0.0.1 was not told (failed): no answer (ReadTimeoutError)"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, ["SHOP_HOOK is not set in this step", "cluster.notify_secret"]),
        ({"SHOP_HOOK": f"ftp://x/{SECRET}"}, ["SHOP_HOOK holds no http:// or https:// address"]),
    ],
)
def test_a_variable_without_an_address_is_one_line(
    environment: dict[str, str], words: list[str], registration: Registration, run: RunReference
) -> None:
    [line] = tell(RegistrySettings(notify_url="env:SHOP_HOOK"), registration, run, **environment)
    assert line.startswith("warning: the address in SHOP_HOOK was not told (promoted): ")
    assert SECRET not in line
    for word in words:
        assert word in line


def test_a_version_that_is_gone_meanwhile_is_one_line(
    hook: Webhook, client: Client, registration: Registration, run: RunReference
) -> None:
    client.delete_model_version(NAME, registration.model_version)
    [line] = tell(RegistrySettings(notify_url=hook.address), registration, run)
    assert line == "warning: whether others were told of the promotion cannot be kept in MLflow: MlflowException"
    assert hook.bodies == []


@pytest.mark.parametrize("status", ["answers", "refuses"])
@pytest.mark.parametrize("from_environment", [True, False])
def test_the_address_is_shown_nowhere(
    status: str,
    from_environment: bool,
    hook: Webhook,
    deaf: str,
    registration: Registration,
    run: RunReference,
    storage: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    address = hook.address if status == "answers" else deaf
    environment = {"SHOP_HOOK": address} if from_environment else {}
    settings = RegistrySettings(notify_url="env:SHOP_HOOK" if from_environment else address)
    said = tell(settings, registration, run, **environment)
    tell_failure(settings, NAME, "monday", "no room", said, environment=environment, patience=HURRY)
    assert len(said) == 2
    assert len(hook.bodies) == (2 if status == "answers" else 0)
    shown = "\n".join([*said, caplog.text, *capfd.readouterr()])
    assert "CANARY" not in shown
    kept = [path for path in storage.rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if b"CANARY" in path.read_bytes()] == []


KEEP = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read()); sys.exit(int(sys.argv[2]))"


@pytest.mark.parametrize("status", [0, 3])
def test_a_command_gets_the_same_on_its_standard_input(
    status: int, client: Client, registration: Registration, run: RunReference, tmp_path: Path
) -> None:
    script = tmp_path / "tell me; twice"
    script.write_text(f"#!{sys.executable}\n{KEEP}\n")
    script.chmod(0o755)
    kept = tmp_path / "$HOME kept"  # no shell looks at it
    said = tell(RegistrySettings(notify_command=(str(script), str(kept), str(status))), registration, run)
    told = json.loads(kept.read_bytes())
    assert (told["event"], told["model_version"], told["reason"]) == (
        "promoted",
        registration.model_version,
        "better: é",
    )
    if status:
        assert said == [f"warning: the command {str(script)!r} was not told (promoted): it ended with status 3"]
    assert bool(notified(client, registration)) == (status == 0)


@pytest.mark.parametrize(
    ("command", "patience", "reason"),
    [
        (("/nowhere/tell",), HURRY, "it cannot be started: No such file or directory"),
        ((os.sep,), HURRY, "it cannot be started: Permission denied"),
        (
            (sys.executable, "-c", "import time; time.sleep(600)"),
            Patience(command=0.05),
            "it was not done within 0.05 s, and was stopped",
        ),
    ],
)
def test_a_bad_command_is_one_line(command: tuple[str, ...], patience: Patience, reason: str) -> None:
    said = Said()
    tell_failure(RegistrySettings(notify_command=command), NAME, "monday", "no room", said, patience=patience)
    assert said == [f"warning: the command {command[0]!r} was not told (failed): {reason}"]


def test_a_command_that_reads_nothing_and_prints_much_is_well(capfd: pytest.CaptureFixture[str]) -> None:
    said = Said()
    command = (sys.executable, "-c", "print('x' * 1_000_000)")
    failure = "no room " * 100_000  # more than a pipe holds
    tell_failure(RegistrySettings(notify_command=command), NAME, "monday", failure, said, patience=HURRY)
    assert said == [f"the command {sys.executable!r} was told (failed)"]
    assert capfd.readouterr() == ("", "")


def close(
    storage: Path, uri: str, settings: RegistrySettings, state: str, message: str = "", run_name: str = "monday"
) -> None:
    """As the exit handler does."""
    status = dsl.PipelineTaskFinalStatus(state, "job", "task", 1, message)
    close_run.python_func(
        name="closed",
        run_name="",
        job_name=run_name,
        job_id=f"id-of-{run_name}",
        storage=str(storage),
        tracking_uri=uri,
        registry=settings.model_dump_json(),
        status=status,
    )


def opened(storage: Path, uri: str, run_name: str) -> RunReference:
    identity = TrainingIdentity(images="i", code="c", torch="t")
    return open_tracking_run("closed", run_name, f"id-of-{run_name}", str(storage), uri, identity, {}, Said())


NOBODY_SAYS = "it ended, and no step said why: a container may not have started; `sanefit runs show` asks the cluster"


def test_the_exit_handler_tells_of_a_failed_run_and_why(
    hook: Webhook, storage: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOP_HOOK", hook.address)
    settings = RegistrySettings(notify_url="env:SHOP_HOOK")
    for number, state in enumerate(["SUCCEEDED", "FAILED", "RUNNING"]):
        opened(storage, uri, f"night-{number}")
        close(storage, uri, settings, state, "" if state == "RUNNING" else "a pod vanished", f"night-{number}")
    assert [(told["event"], told["run_name"], told["model_name"], told["reason"]) for told in hook.told] == [
        ("failed", "night-1", "closed", "a pod vanished"),
        ("failed", "night-2", "closed", NOBODY_SAYS),
    ]
    assert hook.told[0]["text"] == "Run night-1 of closed failed: a pod vanished"
    printed = capfd.readouterr()
    assert "127.0.0.1 was told (failed)" in printed.out
    assert "CANARY" not in printed.out + printed.err


def test_the_reason_of_a_run_that_the_checks_stopped_is_what_they_found(hook: Webhook, storage: Path, uri: str) -> None:
    run = opened(storage, uri, "checked")
    summary = RunSummary(run_name="checked", fingerprint="f", failed_checks=["identical neurons", "no gradient"])
    object_store.write_bytes(Storage(str(storage)).run(run.run_name).summary, summary.model_dump_json().encode())
    close(storage, uri, RegistrySettings(notify_url=hook.address), "FAILED", "Task exit-handler-1 failed.", "checked")
    assert [told["reason"] for told in hook.told] == ["identical neurons | no gradient"]


@pytest.mark.parametrize(("state", "reasons"), [("FAILED", ["no data"]), ("SUCCEEDED", []), ("RUNNING", [])])
def test_a_run_that_was_never_opened_failed_if_the_orchestrator_says_so(
    state: str, reasons: list[str], hook: Webhook, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    close(tmp_path, uri, RegistrySettings(notify_url=hook.address), state, "no data")
    assert [told["reason"] for told in hook.told] == reasons
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_told_where_mlflow_does_not_answer(
    hook: Webhook, deaf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lifecycle, "CLOSING_SECONDS", 0.0)
    settings = RegistrySettings(notify_url=hook.address)
    with pytest.raises(SystemExit):
        close(tmp_path, deaf.partition("/services")[0], settings, "FAILED", "MLflow is gone")
    assert [told["reason"] for told in hook.told] == ["MLflow is gone"]


def test_a_command_that_is_not_there_does_not_keep_a_run_from_being_closed(
    storage: Path, uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = opened(storage, uri, "alone")
    close(storage, uri, RegistrySettings(notify_command=("/nowhere/tell",)), "FAILED", "no room", "alone")
    assert connect(uri).get_run(run.tracking_run_id).info.status == "FAILED"
    assert "warning: the command '/nowhere/tell' was not told (failed)" in capfd.readouterr().out
