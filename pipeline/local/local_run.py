"""Run the pipeline on this machine, through kfp.local: every task is a process of its own."""

import builtins
import contextlib
import io
import logging
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from kfp import dsl, local

from sanefit.components.foundation.clock import Clock
from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.step_lines.line_forms import StepError, StepTiming
from sanefit.components.foundation.step_lines.reading import Show
from sanefit.components.foundation.storage.layout import SCRATCH, RunFolder, Storage
from sanefit.components.model_registry.component import close_run
from sanefit.pipeline.local.full_disk import require_room, told_when_full
from sanefit.pipeline.local.scratch_folder import tasks_have_scratch
from sanefit.pipeline.local.task_output import TaskOutput
from sanefit.pipeline.placement import ON_THIS_MACHINE
from sanefit.pipeline.settings.run_config import RunConfig, endings_of, pipeline_arguments
from sanefit.pipeline.training_pipeline import check_pipeline, training_pipeline

LOG_FILE = "run.log"
TASKS_FOLDER = "tasks"
PATIENCE_SECONDS = 3.0  # with tasks that were told to end


@dataclass(frozen=True)
class LocalOutcome:
    """How a local run ended.

    ``error`` is what a step said to the user, if it said anything; ``created`` is ``folder`` or
    the highest folder above it that this run had to create.
    """

    succeeded: bool
    error: StepError | None
    timings: list[StepTiming]
    folder: Path
    created: Path

    @property
    def run(self) -> RunFolder:
        """What the run wrote."""
        return RunFolder(str(self.folder))


def run_training(config: RunConfig, workdir: Path, tracking_uri: str, run_name: str, show: Show) -> LocalOutcome:
    """Run the whole DAG.

    Args:
        config: the configuration.
        workdir: holds runs, snapshots and the local MLflow store.
        tracking_uri: of MLflow.
        run_name: names the run's folder, which must not exist yet.
        show: called with the step and the text of each line for the user.

    Raises:
        StorageError: when ``workdir`` cannot be written.
        KeyboardInterrupt: after the MLflow run was closed as failed.
    """
    names = {"name": config.name, "run_name": run_name, "storage": str(workdir), "tracking_uri": tracking_uri}
    arguments = {**pipeline_arguments(config), **names}
    folder = Path(Storage(str(workdir)).run(run_name).uri)
    created = _create(folder)
    try:
        pipeline = training_pipeline(ON_THIS_MACHINE, config.search, **endings_of(config))
        outcome = _run(pipeline, arguments, folder, created, show)
    except BaseException as error:  # kfp.local leaves the exit handler out when the orchestrator itself is stopped
        try:
            _close_as_failed({**names, "registry": arguments["registry"]}, f"stopped: {type(error).__name__}")
        finally:
            require_room(workdir, error)
        raise
    return told_when_full(outcome, workdir)


def run_checks(config: RunConfig, workdir: Path, run_name: str, show: Show, *, mutate: bool = False) -> LocalOutcome:
    """Run the data and the checks alone; nothing goes to MLflow.

    ``mutate``: plant faults into a set-up that passed, to see how many of them the checks would catch. The other
    arguments are as for ``run_training``.
    """
    arguments = pipeline_arguments(config)
    wanted = {key: arguments[key] for key in ("data", "stats", "network", "optimizer", "checks", "search", "seed")}
    folder = Path(Storage(str(workdir)).checked(run_name).uri)
    given, created = {**wanted, "storage": str(workdir), "run_name": run_name}, _create(folder)
    try:
        pipeline = check_pipeline(ON_THIS_MACHINE, mutate=mutate)
        return told_when_full(_run(pipeline, given, folder, created, show), workdir)
    except Exception as error:
        require_room(workdir, error)
        raise


def _close_as_failed(given: dict[str, str], reason: str) -> None:
    status = dsl.PipelineTaskFinalStatus(
        state="FAILED",
        pipeline_job_resource_name=given["run_name"],
        pipeline_task_name="",
        error_code=1,
        error_message=reason,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        close_run.python_func(**given, job_name=given["run_name"], status=status)


def _run(pipeline: Any, arguments: dict[str, Any], folder: Path, created: Path, show: Show) -> LocalOutcome:
    with (
        (folder / LOG_FILE).open("w", encoding="utf-8") as log,
        tasks_have_scratch(folder / SCRATCH),
        _tasks_end_with_the_run(),
        _print_restored(),
        warnings.catch_warnings(),
    ):
        # Of images that no process here uses, and settings that only a cluster honors.
        warnings.filterwarnings("ignore", module="kfp.local")
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(folder / TASKS_FOLDER),
            workspace_root=str(folder / SCRATCH / "workspace"),
        )
        output = TaskOutput(log, show)
        succeeded = True
        with contextlib.redirect_stdout(output), _logged_to(output):
            try:
                pipeline(**arguments)
            except RuntimeError as error:  # how kfp.local says that a task failed
                print(error)
                succeeded = False
    return LocalOutcome(succeeded, output.errors[0] if output.errors else None, output.timings, folder, created)


def _create(folder: Path) -> Path:
    """Create a folder; the highest one that was missing."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StorageError(
            f"cannot create {str(folder)!r}: {error.strerror}; expected a new folder in a writable work directory; "
            "set --workdir"
        ) from None
    return missing[-1]


@contextlib.contextmanager
def _logged_to(output: TaskOutput) -> Iterator[None]:
    """Tasks side by side also lose each other's log handlers; without this one, lines would go to stderr."""
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def _print_restored() -> Iterator[None]:
    """kfp.local replaces ``print`` while a task runs; tasks side by side put back each other's replacement."""
    before = builtins.print
    try:
        yield
    finally:
        builtins.print = before


@contextlib.contextmanager
def _tasks_end_with_the_run() -> Iterator[None]:
    """Let SIGINT or SIGTERM to this process alone end a run as Ctrl-C does: tasks stopped, MLflow run closed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        _end(psutil.Process().children(recursive=True))
        raise KeyboardInterrupt

    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(tasks: list[psutil.Process]) -> None:
    for task in tasks:
        with contextlib.suppress(psutil.NoSuchProcess):
            task.terminate()
    _, alive = psutil.wait_procs(tasks, timeout=PATIENCE_SECONDS)
    for task in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            task.kill()


def new_run_name(name: str, clock: Clock = time.time) -> str:
    """A name for a run that begins now: ``digits-20261123-141503-512``, local time and milliseconds."""
    now = clock()
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}"
