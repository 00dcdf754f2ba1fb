"""The command ``sanefit``."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sanefit.components.foundation.errors import SanefitError
from sanefit.pipeline.commands import (
    cluster as cluster_cli,
)
from sanefit.pipeline.commands import (
    drift as drift_cli,
)
from sanefit.pipeline.commands import (
    gc as gc_cli,
)
from sanefit.pipeline.commands import (
    lecture as lecture_cli,
)
from sanefit.pipeline.commands import (
    predict as predict_cli,
)
from sanefit.pipeline.commands import (
    registry as registry_cli,
)
from sanefit.pipeline.commands import (
    schedule as schedule_cli,
)
from sanefit.pipeline.commands import (
    stats as stats_cli,
)
from sanefit.pipeline.commands import (
    verify as verify_cli,
)
from sanefit.pipeline.commands.doctor import doctor
from sanefit.pipeline.commands.options import (
    DEFAULT_WORKDIR,
    CaCert,
    Config,
    Endpoint,
    Json,
    Namespace,
    Set,
    Workdir,
    tracking_uri_of,
)
from sanefit.pipeline.commands.terminal import print_error, step_printer
from sanefit.pipeline.settings.example_configs import DEFAULT_CONFIG

app = typer.Typer(
    help="Train image classifiers the way a good lecturer teaches it: look, check, search, train, register.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(epilog="Example: sanefit run my.yaml --set data.source=folder:photos --set data.image_size=32")
def run(
    config: Config = DEFAULT_CONFIG, set_: Set = None, workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False
) -> None:
    """Run the whole pipeline on this machine."""
    from sanefit.pipeline.local import run_results
    from sanefit.pipeline.local.local_run import new_run_name, run_training
    from sanefit.pipeline.local.reachable_places import require_reachable
    from sanefit.pipeline.settings.run_config import load_config

    started = time.time()
    settings = load_config(config, set_ or ())
    workdir = _writable(workdir)
    tracking_uri = tracking_uri_of(workdir)
    require_reachable(tracking_uri)
    run_name = new_run_name(settings.name)
    outcome = run_training(settings, workdir, tracking_uri, run_name, step_printer(as_json))
    result = run_results.of_training(outcome, started, time.time())
    if result["status"] == "bad input":
        run_results.remove(outcome, workdir)
    elif not as_json:
        for line in run_results.closing_lines(result, tracking_uri):
            print(line)
    _finish(result, as_json)


@app.command(epilog="Example: sanefit check --set network.init=zeros")
def check(
    config: Config = DEFAULT_CONFIG,
    set_: Set = None,
    workdir: Workdir = DEFAULT_WORKDIR,
    mutate: Annotated[
        bool, typer.Option("--mutate", help="Plant faults one by one, and count those that the checks catch.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at the data, check the network and find its learning rates; no search, nothing registered."""
    from sanefit.pipeline.local import run_results
    from sanefit.pipeline.local.local_run import new_run_name, run_checks
    from sanefit.pipeline.settings.run_config import load_config

    started = time.time()
    settings = load_config(config, set_ or ())
    workdir = _writable(workdir)
    outcome = run_checks(settings, workdir, new_run_name(settings.name), step_printer(as_json), mutate=mutate)
    result = run_results.of_checks(outcome, started, time.time())
    if result["status"] == "bad input":
        run_results.remove(outcome, workdir)
    _finish(result, as_json)


@app.command("compile", epilog="Example: sanefit compile my.yaml -o pipeline.yaml")
def compile_(
    output: Annotated[Path, typer.Option("-o", "--output", help="The compiled pipeline, .yaml.")],
    config: Config = DEFAULT_CONFIG,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Compile the pipeline for a Kubeflow cluster."""
    from sanefit.pipeline.compile import compile_pipeline
    from sanefit.pipeline.container_images import container_images
    from sanefit.pipeline.settings.run_config import load_config

    loaded = load_config(config, set_ or ())
    compile_pipeline(loaded, container_images(loaded.cluster.images), output)
    print(json.dumps({"status": "succeeded", "pipeline": str(output)}) if as_json else output)


@app.command(epilog="Example: sanefit report digits-20261123-141503-512")
def report(
    run_name: Annotated[str, typer.Argument(metavar="[RUN]", help="The run.", show_default="the latest")] = "",
    workdir: Workdir = DEFAULT_WORKDIR,
    endpoint: Endpoint = "",
    namespace: Namespace = "",
    ca_cert: CaCert = None,
    as_json: Json = False,
) -> None:
    """Say where the HTML page of a run is; one of a cluster, given its address, is fetched."""
    folder = workdir.expanduser().absolute()
    if run_name and (endpoint or namespace):
        page = cluster_cli.fetch_page(run_name, folder, endpoint, namespace, ca_cert)
    else:
        from sanefit.pipeline.local.run_results import report_of

        page = report_of(folder, run_name)
    print(json.dumps({"status": "succeeded", "report": str(page)}) if as_json else page)


app.command(epilog="Example: sanefit lecture --data tar:cifar10-train.tar.gz --html lecture.html")(lecture_cli.lecture)
app.command(epilog="Example: sanefit stats --set data.source=tar:cifar10-train.tar.gz --set stats.mode=sampled")(
    stats_cli.stats
)
app.command(epilog="Example: sanefit predict models:/digits@champion scans/ --csv answers.csv")(predict_cli.predict)
app.command(epilog="Example: sanefit verify models:/digits@champion --public-key signing-key.pub.pem")(
    verify_cli.verify
)
app.command(epilog="Example: sanefit drift models:/digits@champion s3://cameras/today")(drift_cli.drift)
app.command(epilog="Example: sanefit gc --set storage.keep_days=7 --dry-run")(gc_cli.gc)
app.command(epilog="Example: sanefit submit my.yaml --idempotency-key nightly-1 --wait")(cluster_cli.submit)
app.command(epilog="Example: sanefit doctor my.yaml --namespace sanefit")(doctor)
app.add_typer(cluster_cli.runs, name="runs")
app.add_typer(schedule_cli.schedule, name="schedule")
app.add_typer(registry_cli.registry, name="registry")


def main() -> None:
    """Run the command; errors for the user are one line on stderr."""
    try:
        app()
    except SanefitError as error:
        print_error(str(error))
        sys.exit(error.exit_status)


def _writable(workdir: Path) -> Path:
    """The work directory as an absolute path that can be written."""
    from sanefit.pipeline.local.reachable_places import require_writable

    absolute = workdir.expanduser().absolute()
    require_writable(absolute)
    return absolute


def _finish(result: dict[str, Any], as_json: bool) -> None:
    """Say what went wrong, print the JSON line, and exit."""
    if error := result.get("error"):
        print_error(error)
    if as_json:
        print(json.dumps(result))
    sys.exit({"succeeded": 0, "bad input": 2}.get(result["status"], 1))
