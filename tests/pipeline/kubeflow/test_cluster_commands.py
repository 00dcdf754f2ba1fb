"""The commands as a user types them: exit status, what is said where, and no secret anywhere."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kubeflow_api_double import KubeflowDouble, Request
from kubeflow_store import Look
from on_a_cluster import ON_A_CLUSTER
from run_that_speaks import SpeakingRun
from stopped_clock import Clock
from workflow_tasks import pod_of

from sanefit.components.foundation.schemas.run_record import StepRecord
from sanefit.components.foundation.schemas.runs import RunReference
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.components.foundation.tracking.connection import connect
from sanefit.components.foundation.tracking.runs import close_run, open_run
from sanefit.pipeline.commands.main import main

pytestmark = pytest.mark.slow

SMOKE = Path(__file__).parents[2] / "cluster" / "smoke.sh"
SECRET = "very-secret.token_value"
SETS = [part for value in ON_A_CLUSTER for part in ("--set", value)]
Sanefit = Callable[..., "Said"]


class Said:
    """What a command left."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status, self.stdout, self.stderr = status, stdout, stderr
        assert "Traceback" not in stderr

    @property
    def result(self) -> dict[str, object]:
        parsed: dict[str, object] = json.loads(self.stdout.splitlines()[-1])
        return parsed

    @property
    def error(self) -> str:
        [line] = [line for line in self.stderr.splitlines() if line.startswith("sanefit: error: ")]
        return line


@pytest.fixture
def sanefit(double: KubeflowDouble, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sanefit:
    """Run a command in this process, for kfp takes two seconds to import."""
    monkeypatch.setenv("KFP_ENDPOINT", double.url)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["sanefit", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        said = capfd.readouterr()
        return Said(int(caught.value.code or 0), said.out, said.err)

    return run


def user(double: KubeflowDouble, home: Path, **environment: str) -> dict[str, str]:
    """The environment of a user with an empty home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KFP_", "KUBE"))}
    return {**kept, "HOME": str(home), "KFP_ENDPOINT": double.url, **environment}


def command(*arguments: str, env: dict[str, str]) -> Said:
    line = [sys.executable, "-m", "sanefit", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=120, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_run_that_succeeds(double: KubeflowDouble, tmp_path: Path) -> None:
    double.tokens = {SECRET}
    said = command("submit", *SETS, "--wait", "--json", env=user(double, tmp_path, KFP_TOKEN=SECRET))
    assert said.status == 0, said.stderr
    [run] = double.store.runs.values()
    result = said.result
    assert len(said.stdout.splitlines()) == 1
    assert (result["status"], result["run_id"]) == ("succeeded", run["run_id"])
    assert result["link"] == f"{double.url}/#/runs/details/{run['run_id']}"
    assert "prepare        succeeded in 7 s" in said.stderr
    assert SECRET not in said.stdout + said.stderr
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("credential", ["KFP_TOKEN", "KFP_COOKIE", "KFP_TOKEN_FILE"])
@pytest.mark.parametrize("how", [401, 403, 500, "login page", "text"])
def test_no_failure_shows_a_secret(
    how: str | int,
    credential: str,
    double: KubeflowDouble,
    sanefit: Sanefit,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text(SECRET)
    values = {"KFP_TOKEN": SECRET, "KFP_COOKIE": f"session={SECRET}", "KFP_TOKEN_FILE": str(tmp_path / "token")}
    monkeypatch.setenv(credential, values[credential])
    double.fail(".*", "upload_version" if how == 500 else "pipelines", how, times=99)
    said = sanefit("submit", *SETS)
    assert said.status == (1 if how == 500 else 2)
    assert said.error
    assert SECRET not in said.stdout + said.stderr
    assert any(SECRET in value for value in double.requests[0].headers.values())


def test_a_run_that_fails(double: KubeflowDouble, sanefit: Sanefit) -> None:
    error = {"code": 2, "message": "identical neurons"}
    double.store.script = [Look("FAILED", 2, "sanity", error=error)]
    said = sanefit("submit", *SETS, "--wait", "--json")
    assert said.status == 1
    assert "run failed: sanity: identical neurons" in said.error
    assert (said.result["status"], said.result["error"]) == ("failed", "sanity: identical neurons")


def test_without_waiting_the_run_is_named(double: KubeflowDouble, sanefit: Sanefit) -> None:
    said = sanefit("submit", *SETS, "--set", "name=cats")
    assert said.status == 0
    [run] = double.store.runs.values()
    assert run["display_name"].startswith("cats-2")
    assert f"run            {run['display_name']}, submitted" in said.stdout
    assert f"{double.url}/#/runs/details/{run['run_id']}" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "--set", "cluster.tracking_uri=http://m"], "cluster.storage is empty"),
        (["submit", *SETS, "--timeout", "5"], "--timeout 5: expected --wait"),
        (["submit", *SETS, "--idempotency-key", ""], "--idempotency-key ''"),
        (["runs", "show", "nothing"], "no run is named 'nothing'"),
        (["runs", "retry", "nothing", "--timeout", "5"], "add --wait"),
        (["schedule", "set", *SETS, "--cron", "0 3 * * 7"], "days of the week"),
        (["schedule", "set", "--cron", "0 3 * * 1"], "cluster.storage is empty"),
        (["schedule", "delete", "nothing"], "no schedule is named 'nothing'"),
        (["runs", "list", "--endpoint", "nonsense"], "--endpoint: 'nonsense'"),
    ],
)
def test_bad_input_is_status_2_and_one_line(arguments: list[str], words: str, sanefit: Sanefit) -> None:
    said = sanefit(*arguments)
    assert said.status == 2
    assert words in said.error


def test_without_any_cluster(double: KubeflowDouble, tmp_path: Path) -> None:
    said = command("runs", "list", env=user(double, tmp_path, KFP_ENDPOINT="", KUBECONFIG="/dev/null"))
    assert said.status == 2
    assert "--endpoint or KFP_ENDPOINT" in said.error


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "[sanefit compare] nothing new: run 'digits-7', which gave version 5, finished with the same images\n",
            "run 'digits-7', which gave version 5, finished with the same images",
        ),
        ("", "a run that finished; the log of the step `compare`, which names it, is gone"),
    ],
)
def test_a_run_that_found_nothing_new_says_what_it_equals(
    log: str, said: str, double: KubeflowDouble, sanefit: Sanefit
) -> None:
    def before(_: Request) -> None:
        for run in double.store.runs.values():
            double.store.logs[pod_of(double.store.nodes(run), "prepare")] = log

    double.before = before
    double.store.script = [Look("RUNNING", 1, skipped=True), Look("SUCCEEDED", 99, skipped=True)]
    submitted = sanefit("submit", *SETS, "--set", "skip_unchanged=true", "--wait", "--json")
    assert (submitted.status, submitted.result["nothing_new"], submitted.result["equals"]) == (0, True, said)
    assert f"nothing new    {said}" in submitted.stderr
    shown = sanefit("runs", "show", str(submitted.result["run_id"])).stdout
    assert f"nothing new    {said}" in shown


def test_a_run_that_found_nothing_new_says_it_when_its_pods_are_gone(
    double: KubeflowDouble, sanefit: Sanefit, tmp_path: Path
) -> None:
    said = "run 'digits-7', which gave version 5, finished with the same images"
    double.store.script = [Look("SUCCEEDED", 99, skipped=True)]
    run_id = str(sanefit("submit", *SETS, "--set", "skip_unchanged=true", "--json").result["run_id"])
    run = double.store.runs[run_id]
    run["runtime_config"]["parameters"]["storage"] = str(tmp_path)
    record = StepRecord(step="compare", state="succeeded", started=1.0, ended=2.0, said=f"nothing new: {said}")
    folder = Storage(str(tmp_path)).run(run["display_name"])
    object_store.write_bytes(folder.step("compare"), record.model_dump_json().encode())
    assert f"nothing new    {said}" in sanefit("runs", "show", run_id).stdout


def test_a_run_that_can_be_read_nowhere_says_how_it_could_be(double: KubeflowDouble, sanefit: Sanefit) -> None:
    double.store.script = [Look("RUNNING", 3), Look("SUCCEEDED", 99)]
    submitted = sanefit("submit", *SETS, "--wait", "--json")
    hint = "kubectl -n mlflow port-forward svc/mlflow 5000, and MLFLOW_TRACKING_URI=http://127.0.0.1:5000"
    assert (submitted.status, submitted.stderr.count(hint)) == (0, 1)
    assert submitted.result["model_version"] is None
    assert hint in sanefit("runs", "show", str(submitted.result["run_id"])).stdout


def test_runs_show_says_what_the_run_said(
    double: KubeflowDouble, sanefit: Sanefit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow is a real store, which the command finds by MLFLOW_TRACKING_URI, and the run by Kubeflow's id."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    double.store.script = [Look("RUNNING", 12, listed=6)]
    run_id = str(sanefit("submit", *SETS, "--json").result["run_id"])
    tracking_run_id = open_run(
        connect(uri),
        experiment="digits",
        artifact_location=str(tmp_path),
        run_name="r",
        tags={},
        params={},
        job_id=run_id,
    )
    reference = RunReference(run_name="r", storage=str(tmp_path), tracking_uri=uri, tracking_run_id=tracking_run_id)
    voice = SpeakingRun(reference, Clock(1_795_000_000.0)).whole()
    for _ in range(12):  # into the coarse stage
        next(voice)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    shown = sanefit("runs", "show", run_id).stdout
    assert "coarse pack 1 of 2 running: 5 of 10 trials, best validation accuracy 0.9000, about 1 min 0 s left" in shown
    assert "coarse search  10 of 20 trials, best validation accuracy 0.9100, about 1 min 0 s left" in shown
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)  # MLflow's client writes it
    result = sanefit("runs", "show", run_id, "--json").result
    assert result["search"] == [
        {
            "stage": "coarse",
            "ended": 10,
            "trials": 20,
            "packs": 2,
            "metric": "accuracy",
            "best_score": 0.91,
            "seconds_left": 60.0,
        }
    ]
    voice.close()


def test_runs(double: KubeflowDouble, sanefit: Sanefit) -> None:
    assert sanefit("runs", "list").stdout == "no runs\n"
    double.store.script = [Look("RUNNING", 1)]
    run_id = str(sanefit("submit", *SETS, "--json").result["run_id"])
    [listed] = sanefit("runs", "list", "--json").result["runs"]  # type: ignore[misc]
    assert listed["run_id"] == run_id
    assert run_id in sanefit("runs", "list").stdout
    assert sanefit("runs", "show", run_id, "--json").result["state"] == "running"
    assert "prepare        succeeded in 7 s" in sanefit("runs", "show", run_id).stdout
    assert "is being stopped" in sanefit("runs", "stop", run_id).stdout
    double.store.scripts[run_id] = [Look("FAILED")]
    assert "has already ended: failed" in sanefit("runs", "stop", run_id).stdout
    double.store.script = [Look("SUCCEEDED", 99)]
    assert sanefit("runs", "retry", run_id, "--wait", "--json").result["status"] == "succeeded"
    assert sanefit("runs", "retry", run_id).status == 1


def test_a_schedule_says_its_time_zone_and_next_times(double: KubeflowDouble, sanefit: Sanefit) -> None:
    assert sanefit("schedule", "list").stdout == "no schedules\n"
    said = sanefit("schedule", "set", *SETS, "--cron", "30 3 * * 1")
    assert said.status == 0, said.stderr
    first, cron, *following = said.stdout.splitlines()
    assert first == "digits is created"
    assert cron.startswith("cron           0 30 3 * * 1, seconds first, in UTC, unless CRON_SCHEDULE_TIMEZONE")
    assert len(following) == 3
    assert all(" 03:30:00 UTC, here Mon " in line or " 03:30:00 UTC, here " in line for line in following)
    assert all(line.startswith("next           Mon ") for line in following)
    double.requests.clear()
    again = sanefit("schedule", "set", *SETS, "--cron", "0 30 3 * * 1", "--json")
    assert again.result["change"] == "unchanged"
    assert double.written == []
    assert "digits is paused" in sanefit("schedule", "pause", "digits").stdout
    assert (
        "it stays paused: sanefit schedule resume digits"
        in sanefit("schedule", "set", *SETS, "--cron", "30 3 * * 1").stdout
    )
    assert "paused" in sanefit("schedule", "list").stdout
    assert sanefit("schedule", "list", "--json").result["schedules"][0]["enabled"] is False  # type: ignore[index]
    assert "if a run was due meanwhile, it starts now" in sanefit("schedule", "resume", "digits").stdout


def test_a_change_with_a_run_in_progress_is_status_1(double: KubeflowDouble, sanefit: Sanefit) -> None:
    sanefit("schedule", "set", *SETS, "--cron", "30 3 * * 1")
    double.store.trigger(next(iter(double.store.schedules)))
    said = sanefit("schedule", "set", *SETS, "--cron", "30 4 * * 1")
    assert said.status == 1
    assert "in progress" in said.error
    assert sanefit("schedule", "delete", "digits").status == 1


def _heed_interrupts() -> None:
    """A pytest that a shell runs in the background ignores SIGINT, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_that_is_cancelled_puts_the_schedule_back(
    number: signal.Signals, double: KubeflowDouble, sanefit: Sanefit, tmp_path: Path
) -> None:
    sanefit("schedule", "set", *SETS, "--cron", "30 3 * * 1")
    double.store.trigger(next(iter(double.store.schedules)))
    line = [sys.executable, "-m", "sanefit", "schedule", "set", *SETS, "--cron", "30 4 * * 1", "--wait"]
    environment = user(double, tmp_path)
    waiting = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts)

    def before(request: Request) -> None:
        if request.path.endswith(":disable"):
            waiting.send_signal(number)

    double.before = before
    _, stderr = waiting.communicate(timeout=120)
    assert waiting.returncode == 1
    assert "stopped waiting; the schedule is as it was" in stderr
    assert [one["status"] for one in double.store.schedules.values()] == ["ENABLED"]
    assert double.store.killed == []


def as_a_cluster_does(double: KubeflowDouble, uri: str, page: Path) -> None:
    """The gate stops a network of zeros, MLflow has the pages of runs that succeeded, and a schedule fires."""
    said = json.dumps({"message": "the network failed the checks: identical neurons", "exit_status": 1})
    seen: set[str] = set()

    def before(_: Request) -> None:
        store, tracking = double.store, connect(uri)
        for run in [*store.runs.values()]:
            spec = store.specs[run["pipeline_version_reference"]["pipeline_version_id"]]
            network = spec["root"]["inputDefinitions"]["parameters"]["network"]["defaultValue"]
            if "zeros" in network and run["run_id"] not in seen:
                store.scripts[run["run_id"]] = [Look("FAILED", 2, "sanity")]
                store.logs[pod_of(store.nodes(run), "sanity")] = f"[sanefit-error gate] {said}\n"
                seen.add(run["run_id"])
            elif run["state"] == "SUCCEEDED" and run["run_id"] not in seen:
                tracked = open_run(
                    tracking,
                    experiment="smoke",
                    artifact_location=str(page.parent / "files"),
                    run_name=run["display_name"],
                    tags={},
                    params={},
                    job_id=run["run_id"],
                )
                close_run(tracking, tracked, succeeded=True, failure="", attach=page)
                seen.add(run["run_id"])
        for number, schedule in [*store.schedules.items()]:
            if "* * * * *" in json.dumps(schedule["trigger"]) and number not in seen:
                fired = store.trigger(number)
                assert fired is not None
                store.scripts[fired["run_id"]] = []
                fired |= {"state": "SUCCEEDED"}  # a list of runs, which `delete --wait` asks for, moves none on
                seen.update((number, fired["run_id"]))

    double.before = before


def test_the_smoke_test_runs_against_the_double(double: KubeflowDouble, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<html></html>")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    as_a_cluster_does(double, uri, page)
    config = tmp_path / "config.yaml"
    values = dict(value.removeprefix("cluster.").split("=", 1) for value in ON_A_CLUSTER)
    config.write_text(json.dumps({"name": "digits", "network": {"kind": "two_layer"}, "cluster": values}))
    done = subprocess.run(
        [SMOKE, config],
        capture_output=True,
        text=True,
        env=user(double, tmp_path, SANEFIT=str(Path(sys.executable).parent / "sanefit"), MLFLOW_TRACKING_URI=uri),
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke: all is well" in done.stdout
    assert double.store.schedules == {}
    assert {run["state"] for run in double.store.runs.values()} <= {"SUCCEEDED", "FAILED"}
    written = " ".join(double.written)
    for what in ("terminate", "disable", "enable", "DELETE /apis/v2beta1/recurringruns"):
        assert what in written


@pytest.mark.parametrize("arguments", [[], ["a.yaml", "b.yaml"], ["--help"]])
def test_the_smoke_test_says_how_to_use_it(arguments: list[str], double: KubeflowDouble, tmp_path: Path) -> None:
    environment = user(double, tmp_path)
    if not arguments:
        del environment["KFP_ENDPOINT"]
    done = subprocess.run([SMOKE, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "usage: KFP_ENDPOINT=URL" in done.stderr
    assert double.requests == []
