"""Wait for a run on the cluster, saying what its steps do."""

import time
from dataclasses import dataclass
from typing import Any

from sanefit.components.foundation.clock import Clock, Sleep
from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.step_lines.reading import Show
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.cluster_runs import get_run, state_of
from sanefit.pipeline.kubeflow.runs.failure_reason import Failure, failure_of
from sanefit.pipeline.kubeflow.runs.run_states import ENDED, FAILED, SUCCEEDED
from sanefit.pipeline.kubeflow.runs.run_steps import Step, steps_of

FIRST_INTERVAL, LONGEST_INTERVAL, GROWTH = 2.0, 15.0, 1.5  # seconds between two looks
PATIENCE = 600.0  # seconds without an answer


@dataclass(frozen=True)
class Followed:
    """How a run ended; ``failure`` says why when it did not succeed."""

    state: str
    steps: list[Step]
    failure: Failure | None

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.state == "succeeded"


def follow(
    kubeflow: Kubeflow,
    run_id: str,
    show: Show,
    timeout: float | None = None,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Followed:
    """Look at a run until it has ended.

    Args:
        kubeflow: the connection.
        run_id: of the run.
        show: called with a step and its state when that has changed.
        timeout: seconds to wait at most; None waits for ever.
        clock: seconds since any moment.
        sleep: waits seconds.

    Raises:
        RunFailedError: when the run was deleted, the time is over, or Ctrl-C was pressed; the run
            itself is never stopped.
        KubeflowError: when the API refuses, or has not answered for 10 minutes.
    """
    try:
        run = _wait(kubeflow, run_id, show, timeout, clock, sleep)
    except KeyboardInterrupt:
        raise RunFailedError(f"stopped waiting; {_goes_on(run_id)}") from None
    failure = None if run.state == SUCCEEDED else failure_of(kubeflow, run)
    return Followed(state_of(run), steps_of(run), failure)


def said_of(step: Step) -> str:
    """A step's state for the user, as in ``succeeded in 1 min 5 s``."""
    took = f" in {duration(step.seconds)}" if step.seconds is not None and step.state in ENDED else ""
    why = f": {step.error}" if step.error and step.state == FAILED else ""
    return f"{step.state.lower()}{took}{why}"


def duration(seconds: float) -> str:
    """As in ``2 h 3 min``, ``1 min 5 s`` or ``7 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _wait(
    kubeflow: Kubeflow,
    run_id: str,
    show: Show,
    timeout: float | None,
    clock: Clock,
    sleep: Sleep,
) -> Any:
    began = answered = clock()
    interval, shown, state = FIRST_INTERVAL, dict[str, str](), "unknown"
    while True:
        try:
            run = get_run(kubeflow, run_id)
        except KubeflowError as error:
            _bear(error, run_id, clock() - answered)
            if shown.get("") != str(error):
                show("", str(error))
            shown |= {"": str(error)}
        else:
            answered, state = clock(), state_of(run)
            shown = _show_changes(run, shown, show)
            if run.state in ENDED:
                return run
        left = interval if timeout is None else began + timeout - clock()
        if left <= 0:
            raise RunFailedError(f"still {state} after {duration(clock() - began)}; {_goes_on(run_id)}")
        sleep(min(interval, left))
        interval = min(interval * GROWTH, LONGEST_INTERVAL)


def _bear(error: KubeflowError, run_id: str, silence: float) -> None:
    """Raise when there is nothing to wait for any more."""
    if error.status == 404:
        raise RunFailedError(f"run {run_id} was deleted while it was waited for; its results may be incomplete")
    if not error.passing or silence > PATIENCE:
        raise KubeflowError(
            f"{error}; {_goes_on(run_id)}", status=error.status, passing=error.passing, exit_status=error.exit_status
        )


def _show_changes(run: Any, shown: dict[str, str], show: Show) -> dict[str, str]:
    now = {"run": state_of(run)} | {step.name: said_of(step) for step in steps_of(run)}
    for name, said in now.items():
        if shown.get(name) != said:
            show(name, said)
    return now


def _goes_on(run_id: str) -> str:
    return f"the run goes on: sanefit runs show {run_id}, sanefit runs stop {run_id}"
