"""Wait for a run on the cluster, saying what its steps do and how far its search is."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.schemas.run_record import RunRecord
from sanefit.components.foundation.step_lines.reading import Show
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.argo_workflow import read_workflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import get_run
from sanefit.pipeline.kubeflow.runs.failure_reason import Ending, ending_of
from sanefit.pipeline.kubeflow.runs.run_outcome import outcome_lines, outcome_of
from sanefit.pipeline.kubeflow.runs.run_progress import duration, followed_text, progress_of, stage_lines
from sanefit.pipeline.kubeflow.runs.run_record import RecordReader
from sanefit.pipeline.kubeflow.runs.run_states import ENDED, RUNNING, state_of
from sanefit.pipeline.kubeflow.runs.run_steps import Step

FIRST_INTERVAL, LONGEST_INTERVAL, GROWTH = 2.0, 15.0, 1.5  # seconds between two looks
PATIENCE = 600.0  # seconds without an answer
PROGRESS_SECONDS = 30.0  # at least between two lines that say how far the same step has come
QUIET_SECONDS = 60.0  # without anything to say: then Argo is asked what the run waits for


@dataclass(frozen=True)
class Followed:
    """How a run ended. ``ending``: its state, and why it did not succeed; ``outcome``: as of ``outcome_of``."""

    ending: Ending
    steps: list[Step]
    outcome: dict[str, Any]

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.ending.failure is None


@dataclass
class Shown:
    """What has been said of a run: under each name its state, the text, and when."""

    show: Show
    clock: Clock
    said: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    last: float = 0.0

    def changes(self, now: Mapping[str, tuple[str, str]]) -> None:
        """Say what is new: another state at once, more of the same now and then.

        Args:
            now: state and text by name.
        """
        for name, (state, text) in now.items():
            before = self.said.get(name, ("", "", -math.inf))
            waits = state == before[0] and self.clock() < before[2] + PROGRESS_SECONDS
            if text != before[1] and not waits:
                self.show(name, text)
                self.last = self.clock()
                self.said[name] = (state, text, self.last)


def follow(
    kubeflow: Kubeflow,
    run_id: str,
    show: Show,
    reader: RecordReader,
    timeout: float | None = None,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Followed:
    """Look at a run until it has ended.

    Args:
        kubeflow: the connection.
        run_id: of the run.
        show: called with a step and its state when that has changed.
        reader: reads what the run says of itself.
        timeout: seconds to wait at most; None waits for ever.
        clock: seconds since any moment.
        sleep: waits seconds.

    Raises:
        RunFailedError: when the run was deleted, the time is over, or Ctrl-C was pressed; the run
            itself is never stopped.
        KubeflowError: when the API refuses, or has not answered for 10 minutes.
    """
    shown = Shown(show, clock, last=clock())
    try:
        run = _wait(kubeflow, run_id, shown, reader, timeout, sleep)
        workflow, record = read_workflow(kubeflow, run_id), reader.last
        outcome = outcome_of(kubeflow, run, record, workflow)
        shown.changes(_whole(outcome_lines(outcome)))
        return Followed(ending_of(kubeflow, run, record, workflow), progress_of(run, record, workflow), outcome)
    except KeyboardInterrupt:
        raise RunFailedError(f"stopped waiting; {_goes_on(run_id)}") from None


def _wait(
    kubeflow: Kubeflow, run_id: str, shown: Shown, reader: RecordReader, timeout: float | None, sleep: Sleep
) -> Any:
    clock = shown.clock
    began = answered = clock()
    interval, state = FIRST_INTERVAL, "unknown"
    while True:
        try:
            run = get_run(kubeflow, run_id)
        except KubeflowError as error:
            _bear(error, run_id, clock() - answered)
            shown.changes({"": (str(error), str(error))})
        else:
            answered, state = clock(), state_of(run)
            _look(kubeflow, run, shown, reader)
            if run.state in ENDED:
                return run
        left = interval if timeout is None else began + timeout - clock()
        if left <= 0:
            raise RunFailedError(f"still {state} after {duration(clock() - began)}; {_goes_on(run_id)}")
        sleep(min(interval, left))
        interval = min(interval * GROWTH, LONGEST_INTERVAL)


def _look(kubeflow: Kubeflow, run: Any, shown: Shown, reader: RecordReader) -> None:
    record = reader(run)
    quiet = run.state == RUNNING and shown.clock() >= shown.last + QUIET_SECONDS
    steps = {step.name: (step.state, followed_text(step)) for step in _steps(kubeflow, run, record, quiet)}
    shown.changes({"run": (state_of(run), state_of(run)), **steps, **_whole(stage_lines(record))})
    if run.state == RUNNING and (hint := reader.hint(run)):
        shown.changes(_whole({"progress": f"from Kubeflow alone: {hint}"}))
    if quiet:
        shown.last = shown.clock()


def _steps(kubeflow: Kubeflow, run: Any, record: RunRecord, why_waiting: bool = False) -> list[Step]:
    """Argo's word costs more, and is wanted where the run says nothing, or to know ``why_waiting``."""
    workflow = read_workflow(kubeflow, str(run.run_id)) if why_waiting or not record.steps else None
    return progress_of(run, record, workflow)


def _whole(lines: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {name: ("", text) for name, text in lines.items()}


def _bear(error: KubeflowError, run_id: str, silence: float) -> None:
    """Raise when there is nothing to wait for any more."""
    if error.status == 404:
        raise RunFailedError(f"run {run_id} was deleted while it was waited for; its results may be incomplete")
    if not error.passing or silence > PATIENCE:
        raise KubeflowError(
            f"{error}; {_goes_on(run_id)}", status=error.status, passing=error.passing, exit_status=error.exit_status
        )


def _goes_on(run_id: str) -> str:
    return f"the run goes on: sanefit runs show {run_id}, sanefit runs stop {run_id}"
