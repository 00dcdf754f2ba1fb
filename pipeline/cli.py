"""The command ``sanefit``."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from components.foundation.errors import SanefitError
from pipeline import run_results
from pipeline.run_config import DEFAULT_CONFIG, RunConfig, load_config

app = typer.Typer(
    help="Train image classifiers the way a good lecturer teaches it: look, check, search, train, register.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Config = Annotated[Path, typer.Argument(help="A YAML file.", show_default="digits")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value; repeatable.")]
Workdir = Annotated[Path, typer.Option(help="Holds runs, snapshots and the local MLflow store.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]
DEFAULT_WORKDIR = Path("sanefit-runs")


@app.command(epilog="Example: sanefit run my.yaml --set data.source=folder:photos --set data.image_size=32")
def run(
    config: Config = DEFAULT_CONFIG, set_: Set = None, workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False
) -> None:
    """Run the whole pipeline on this machine."""
    from pipeline.local_run import new_run_name, require_reachable, run_training

    started = time.time()
    settings, workdir = _prepared(config, set_, workdir)
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workdir / 'mlflow.db'}"
    require_reachable(tracking_uri)
    run_name = new_run_name(settings.name)
    outcome = run_training(settings, workdir, tracking_uri, run_name, _show(as_json))
    result = run_results.of_training(outcome, started, time.time())
    if result["status"] == "bad input":
        run_results.remove(outcome, workdir)
    elif not as_json:
        for line in run_results.closing_lines(result, tracking_uri):
            print(line)
    _finish(result, as_json)


@app.command(epilog="Example: sanefit check --set network.init=zeros")
def check(
    config: Config = DEFAULT_CONFIG, set_: Set = None, workdir: Workdir = DEFAULT_WORKDIR, as_json: Json = False
) -> None:
    """Look at the data, check the network and find its learning rates; no search, nothing registered."""
    from pipeline.local_run import new_run_name, run_checks

    started = time.time()
    settings, workdir = _prepared(config, set_, workdir)
    outcome = run_checks(settings, workdir, new_run_name(settings.name), _show(as_json))
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
    from pipeline.compile import compile_pipeline

    compile_pipeline(load_config(config, set_ or ()), output)
    print(json.dumps({"status": "succeeded", "pipeline": str(output)}) if as_json else output)


@app.command(epilog="Example: sanefit report digits-20261123-141503-512")
def report(
    run_name: Annotated[str, typer.Argument(metavar="[RUN]", help="The run.", show_default="the latest")] = "",
    workdir: Workdir = DEFAULT_WORKDIR,
    as_json: Json = False,
) -> None:
    """Say where the HTML page of a run is."""
    page = run_results.report_of(workdir.expanduser().absolute(), run_name)
    print(json.dumps({"status": "succeeded", "report": str(page)}) if as_json else page)


def main() -> None:
    """Run the command; errors for the user are one line on stderr."""
    try:
        app()
    except SanefitError as error:
        _print_error(str(error))
        sys.exit(error.exit_status)


def _prepared(config: Path, overrides: list[str] | None, workdir: Path) -> tuple[RunConfig, Path]:
    """The settings, and the work directory as an absolute path that can be written."""
    from pipeline.local_run import require_writable

    settings = load_config(config, overrides or ())
    absolute = workdir.expanduser().absolute()
    require_writable(absolute)
    return settings, absolute


def _show(as_json: bool) -> Callable[[str, str], None]:
    """Print a step's line; with --json to stderr, so that stdout stays for programs."""
    stream = sys.stderr if as_json else sys.stdout  # held: a run redirects sys.stdout
    console = Console(file=stream, highlight=False, soft_wrap=True)

    def show(step: str, text: str) -> None:
        console.print(f"[bold]{escape(step):<14}[/bold] {escape(text)}")

    return show


def _finish(result: dict[str, Any], as_json: bool) -> None:
    """Say what went wrong, print the JSON line, and exit."""
    if error := result.get("error"):
        _print_error(error)
    if as_json:
        print(json.dumps(result))
    sys.exit({"succeeded": 0, "bad input": 2}.get(result["status"], 1))


def _print_error(message: str) -> None:
    print(f"sanefit: error: {message}", file=sys.stderr)
