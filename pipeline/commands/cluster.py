"""The commands ``sanefit submit`` and ``sanefit runs``."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.commands.options import CaCert, Config, Endpoint, Json, Namespace, Set
from sanefit.pipeline.commands.terminal import print_error, step_printer
from sanefit.pipeline.settings.example_configs import DEFAULT_CONFIG

if TYPE_CHECKING:
    from sanefit.components.foundation.schemas.run_record import RunRecord
    from sanefit.pipeline.kubeflow.runs.run_record import RecordReader

MLFLOW_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}  # seconds
runs = typer.Typer(help="Runs on the cluster.", no_args_is_help=True, rich_markup_mode=None)

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id or name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until it has ended; say what its steps do.")]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=1, help="Wait no longer; the run goes on.", show_default=False)
]
Key = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="KEY", help="A second submit finds the first one's run.", show_default=False
    ),
]


def submit(
    config: Config = DEFAULT_CONFIG,
    set_: Set = None,
    wait: Wait = False,
    timeout: Timeout = None,
    idempotency_key: Key = None,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """Start a run on a Kubeflow cluster."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.submit import submit as start
    from sanefit.pipeline.local.local_run import new_run_name
    from sanefit.pipeline.settings.run_config import load_config

    _require_wait(wait, timeout)
    settings = load_config(config, set_ or ())
    kubeflow = connect(endpoint, namespace, ca_cert)
    submitted = start(settings, kubeflow, new_run_name(settings.name), idempotency_key)
    show = step_printer(as_json)
    show("run", f"{submitted.run_name}, {'already submitted' if submitted.already else 'submitted'}")
    show("id", submitted.run_id)
    show("pipeline", submitted.version_name)
    show("link", kubeflow.link_line(submitted.run_id))
    result: dict[str, Any] = {
        "status": "submitted",
        "run_id": submitted.run_id,
        "run_name": submitted.run_name,
        "pipeline_version": submitted.version_name,
        "link": submitted.link,
        "already_submitted": submitted.already,
    }
    if wait:
        _follow(kubeflow, submitted.run_id, timeout, result, as_json)
    elif as_json:
        print(json.dumps(result))


@runs.command("list", epilog="Example: sanefit runs list --name digits")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    name: Annotated[str, typer.Option(help="Of one configuration only.", show_default=False)] = "",
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """The newest runs."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.cluster_runs import list_runs
    from sanefit.pipeline.kubeflow.runs.run_summaries import columns, summary

    found = list_runs(connect(endpoint, namespace, ca_cert), limit, name)
    if as_json:
        print(json.dumps({"status": "succeeded", "runs": [summary(run) for run in found]}))
    else:
        for line in columns(found) or ["no runs"]:
            print(line)


@runs.command(epilog="Example: sanefit runs show digits-20261123-141503-512")
def show(
    run: Run, endpoint: Endpoint = "", namespace: Namespace = "", ca_cert: CaCert = None, as_json: Json = False
) -> None:
    """A run's steps, times, parameters, and the reason when it failed."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run
    from sanefit.pipeline.kubeflow.runs.run_summaries import details, details_lines, look_into

    kubeflow, reader = connect(endpoint, namespace, ca_cert), record_reader()
    found = find_run(kubeflow, run)
    known = look_into(kubeflow, found, reader(found))
    if as_json:
        print(json.dumps({"status": "succeeded", **details(known)}))
    else:
        for line in details_lines(known):
            print(line)
        if hint := reader.hint(found):
            print(f"{'progress':<14} from Kubeflow alone: {hint}")


@runs.command(epilog="Example: sanefit runs stop digits-20261123-141503-512")
def stop(
    run: Run, endpoint: Endpoint = "", namespace: Namespace = "", ca_cert: CaCert = None, as_json: Json = False
) -> None:
    """Stop a run; what it has done so far stays."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run, stop_run

    kubeflow = connect(endpoint, namespace, ca_cert)
    found = find_run(kubeflow, run)
    _say(found, stop_run(kubeflow, found), as_json)


@runs.command(epilog="Example: sanefit runs retry digits-20261123-141503-512 --wait")
def retry(
    run: Run,
    wait: Wait = False,
    timeout: Timeout = None,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """Run the steps again that failed or never ran, with the results of the others.

    A run that was stopped goes on as a new one.
    """
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run, retry_run

    _require_wait(wait, timeout)
    kubeflow = connect(endpoint, namespace, ca_cert)
    found = find_run(kubeflow, run)
    retried = retry_run(kubeflow, found)
    said = "is being retried"
    if retried is not found:
        said = f"goes on where {found.display_name} was stopped, which Kubeflow cannot retry: as a new run"
    if wait:
        step_printer(as_json)("run", f"{retried.display_name} {said}")
        _follow(
            kubeflow, retried.run_id, timeout, {"run_id": retried.run_id, "run_name": retried.display_name}, as_json
        )
    else:
        _say(retried, said, as_json)


def fetch_page(run: str, workdir: Path, endpoint: str, namespace: str, ca_cert: Path | None) -> Path:
    """The page of a run on the cluster, copied into the work directory."""
    from sanefit.pipeline.kubeflow.client.connection import connect
    from sanefit.pipeline.kubeflow.runs.cluster_report import fetch_report

    def attached(tracking_uri: str, job_id: str, path: str) -> bytes | None:
        from sanefit.components.model_registry.api import read_attached_of_job

        return read_attached_of_job(tracking_uri, job_id, path)

    environment = _impatient_with_mlflow()
    return fetch_report(connect(endpoint, namespace, ca_cert), run, workdir, attached, environment)


def _require_wait(wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise SettingsError(f"--timeout {timeout:g}: expected --wait with it; add --wait")


def _say(run: Any, what: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"status": "succeeded", "run_id": run.run_id, "run_name": run.display_name, "said": what}))
    else:
        print(f"{run.display_name} {what}")


def record_reader() -> "RecordReader":
    """MLflow is loaded once it is asked."""
    from sanefit.pipeline.kubeflow.runs.run_record import RecordReader

    def tracked(tracking_uri: str, job_id: str) -> "RunRecord":
        from sanefit.components.model_registry.api import tracked_run_record

        return tracked_run_record(tracking_uri, job_id)

    return RecordReader(tracked, _impatient_with_mlflow())


def _impatient_with_mlflow() -> dict[str, str]:
    """The environment as it was; MLflow's own patience is for steps, not for whoever looks on."""
    environment = dict(os.environ)
    os.environ |= {name: value for name, value in MLFLOW_PATIENCE.items() if name not in environment}
    return environment


def _follow(kubeflow: Any, run_id: str, timeout: float | None, result: dict[str, Any], as_json: bool) -> None:
    """Wait, print the JSON line, and exit with the run's status."""
    from sanefit.pipeline.kubeflow.runs.follow_run import follow

    followed = follow(kubeflow, run_id, step_printer(as_json), record_reader(), timeout)
    state, failure = followed.ending.state, followed.ending.failure
    result |= {"status": state, "steps": [step.record() for step in followed.steps], **followed.outcome}
    if failure:
        result["error"] = failure.line()
        print_error(f"run {state}: {result['error']}; {kubeflow.link_line(run_id)}")
    if as_json:
        print(json.dumps(result))
    sys.exit(0 if followed.succeeded else 1)
