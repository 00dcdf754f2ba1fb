"""What the command refuses, and what it leaves behind then: nothing."""

import html
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, sanefit, user_environment
from mlflow import MlflowClient

from sanefit.components.foundation.storage.layout import RunFolder
from sanefit.components.foundation.storage.run_record import read_run_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stopped_at_the_gate(tmp_path_factory: pytest.TempPathFactory) -> Command:
    workdir = tmp_path_factory.mktemp("gate") / "runs"
    return sanefit("run", "--json", "--workdir", str(workdir), sets=["network.init=zeros"])


def test_zero_weights_stop_at_the_gate(stopped_at_the_gate: Command) -> None:
    assert stopped_at_the_gate.status == 1
    result = stopped_at_the_gate.result
    assert result["status"] == "failed"
    assert "identical neurons" in result["error"]
    assert "network.init=he" in result["error"]
    assert "Traceback" not in stopped_at_the_gate.stderr


def test_no_trial_was_started(stopped_at_the_gate: Command) -> None:
    result = stopped_at_the_gate.result
    assert not (Path(result["run_dir"]) / "trials").exists()
    assert not any("pack" in step["step"] for step in result["steps"])


def test_the_report_of_a_refused_network_exists(stopped_at_the_gate: Command) -> None:
    html = Path(stopped_at_the_gate.result["report"]).read_text()
    assert "Stopped at the gate" in html
    assert "identical neurons" in html


def test_the_mlflow_run_says_failed_and_why(stopped_at_the_gate: Command) -> None:
    run_dir = Path(stopped_at_the_gate.result["run_dir"])
    client = MlflowClient(f"sqlite:///{run_dir.parents[1] / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["sanefit.failure"].startswith("gate: the network failed the checks")
    assert "identical neurons" in run.data.tags["sanefit.failure"]
    assert client.search_registered_models() == []


def test_the_runs_record_says_which_step_failed_and_why(stopped_at_the_gate: Command) -> None:
    record = read_run_record(RunFolder(stopped_at_the_gate.result["run_dir"]))
    assert {step.step: step.state for step in record.steps} == {
        "open run": "succeeded",
        "sanity": "succeeded",
        "first report": "succeeded",
        "gate": "failed",
        "close run": "succeeded",
    }
    [gate] = [step for step in record.steps if step.state == "failed"]
    assert gate.reason == stopped_at_the_gate.result["error"]


def one_bad_line(command: Command) -> str:
    assert command.status == 2, command.stderr
    said = [line for line in command.stderr.splitlines() if line.startswith("sanefit: error: ")]
    assert len(said) == 1
    assert "Traceback" not in command.stderr
    return said[0]


@pytest.mark.parametrize(
    ("per_class", "words"),
    [
        ({}, ["holds no images"]),
        ({"cat": 30}, ["1 class", "'cat'"]),
        ({"cat": 30, "dog": 1}, ["'dog' has 1 image"]),
    ],
)
def test_too_few_images(
    per_class: dict[str, int], words: list[str], image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = image_folder(per_class)
    workdir = tmp_path / "new" / "runs"
    line = one_bad_line(sanefit("run", "--workdir", str(workdir), sets=[f"data.source=folder:{folder}"]))
    for word in words:
        assert word in line
    assert not (tmp_path / "new").exists()


def test_a_broken_image_is_named_and_nothing_is_left(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = image_folder({"cat": 30, "dog": 30})
    broken = folder / "dog" / "0007.png"
    broken.write_bytes(broken.read_bytes()[:60])
    workdir = tmp_path / "runs"
    line = one_bad_line(sanefit("run", "--workdir", str(workdir), sets=[f"data.source=folder:{folder}"]))
    assert str(broken) in line
    assert not workdir.exists()


def test_a_missing_path_leaves_an_older_work_directory_as_it_was(tmp_path: Path) -> None:
    workdir = tmp_path / "runs"
    (workdir / "runs" / "older").mkdir(parents=True)
    line = one_bad_line(sanefit("run", "--workdir", str(workdir), sets=["data.source=folder:/nowhere/at/all"]))
    assert "/nowhere/at/all" in line
    assert [path.relative_to(workdir).as_posix() for path in workdir.rglob("*")] == ["runs", "runs/older"]


@pytest.mark.parametrize("override", ["search.coarse.trials=-1", "search.coarse.trails=3"])
def test_a_bad_setting(override: str, tmp_path: Path) -> None:
    line = one_bad_line(sanefit("run", "--workdir", str(tmp_path / "runs"), sets=[override]))
    assert override.split("=")[0] in line
    assert not (tmp_path / "runs").exists()


def test_a_work_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    line = one_bad_line(sanefit("run", "--workdir", str(tmp_path / "file" / "runs")))
    assert str(tmp_path / "file" / "runs") in line
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_tracking_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        line = one_bad_line(sanefit("run", "--workdir", str(tmp_path / "runs"), tracking_uri=address))
    assert "MLFLOW_TRACKING_URI" in line
    assert not (tmp_path / "runs").exists()


def test_check_finds_the_same_fault_without_mlflow(tmp_path: Path) -> None:
    workdir = tmp_path / "runs"
    command = sanefit("check", "--json", "--workdir", str(workdir), sets=["network.init=zeros"])
    assert command.status == 1
    failed = {gate["name"] for gate in command.result["checks"]["gates"] if gate["verdict"] == "fail"}
    assert failed == {"neurons_differ", "regularization", "signals", "overfit"}
    assert not (workdir / "mlflow.db").exists()


def test_check_of_a_healthy_network_finds_its_learning_rates(tmp_path: Path) -> None:
    command = sanefit("check", "--json", "--workdir", str(tmp_path / "runs"))
    assert command.status == 0
    low, high = command.result["checks"]["learning_rate_band"]
    assert 1e-4 < low < high <= 3.2
    assert command.result["mutation_score"] is None
    assert "checks, none failed" in Path(command.result["report"]).read_text()


def test_check_plants_faults_and_leaves_a_page_that_tells_them(tmp_path: Path) -> None:
    small = tmp_path / "small.yaml"
    small.write_text("name: small\ndata: {source: digits}\nnetwork: {kind: two_layer, hidden: 16}\n")
    command = sanefit("check", str(small), "--mutate", "--json", "--workdir", str(tmp_path / "runs"))
    assert command.status == 0
    planted = {one["fault"]: one for one in command.result["planted"]}
    assert planted["batch norm with momentum 0"]["verdict"] == "not applicable"
    applicable = [one for one in planted.values() if one["verdict"] != "not applicable"]
    assert command.result["mutation_score"] == sum(one["verdict"] == "caught" for one in applicable) / len(applicable)
    assert command.result["mutation_score"] > 0.95
    page = html.unescape(Path(command.result["report"]).read_text())
    assert "Planted faults" in page
    assert all(name in page for name in planted)


def test_a_set_up_that_fails_the_checks_gets_no_planted_faults(tmp_path: Path) -> None:
    command = sanefit("check", "--mutate", "--json", "--workdir", str(tmp_path / "runs"), sets=["network.init=zeros"])
    assert command.status == 1
    assert command.result["planted"] is None
    assert "checks failed" in Path(command.result["report"]).read_text()


def test_report_names_the_known_runs(tmp_path: Path) -> None:
    line = one_bad_line(sanefit("report", "nosuch", "--workdir", str(tmp_path)))
    assert "nosuch" in line


def test_sigterm_stops_the_steps_and_closes_the_run(tmp_path: Path) -> None:
    workdir = tmp_path / "runs"
    endless = ["--set", "search.coarse.trials=5000", "--set", "search.networks_at_once=2"]
    told = tmp_path / "told.json"
    arguments = ["run", "--workdir", str(workdir), *endless, "--set", f"registry.notify_command=[tee, {told}]"]
    environment = {**user_environment(), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "sanefit", *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:  # until the search has begun
            if "validation_accuracy" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 130  # as after Ctrl-C
    client = MlflowClient(f"sqlite:///{workdir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    [parent] = client.search_runs([experiment.experiment_id], "tags.`sanefit.run` != ''")
    assert parent.info.status == "FAILED"
    assert "stopped" in parent.data.tags["sanefit.failure"]
    assert json.loads(told.read_bytes())["reason"] == parent.data.tags["sanefit.failure"]
    running = subprocess.run(["pgrep", "-f", str(workdir)], capture_output=True, text=True, check=False)
    assert running.stdout == ""
