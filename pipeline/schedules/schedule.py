"""One schedule per configuration, changed without ever stopping a run.

A recurring run of Kubeflow cannot be changed, and deleting one deletes its run in progress. So a
changed schedule is a new recurring run that takes over: it is created paused, the old one is
paused, no run of the old one is in progress, the new one is enabled, the old one deleted. At
every moment at most one of them starts runs; and what the new one was made for is written in its
description, so that the next ``set`` finishes a change that was interrupted.
"""

import time
from dataclasses import dataclass, replace

from kfp_server_api import V2beta1RecurringRun  # type: ignore[import-untyped]

from sanefit.components.foundation.clock import Sleep
from sanefit.components.foundation.errors import RunFailedError, SanefitError
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.pipeline_version import SECONDS_UNTIL_ALL_ARE_SEEN
from sanefit.pipeline.schedules.recurring_runs import (
    Wanted,
    create,
    delete,
    disable,
    enable,
    find_all,
    is_enabled,
    is_same,
    names_in_progress,
    replaced_by,
    takes_over_enabled,
)
from sanefit.pipeline.schedules.schedule_control import find_schedule

# By then the API knows of a run that was started just before its schedule was paused.
SETTLE_SECONDS = 10.0
WAIT_INTERVAL = 15.0


@dataclass(frozen=True)
class Outcome:
    """``change``: created, unchanged, or replaced."""

    change: str
    recurring_run_id: str
    enabled: bool


def set_schedule(kubeflow: Kubeflow, wanted: Wanted, wait: bool, say: Say, sleep: Sleep = time.sleep) -> Outcome:
    """Make the schedule what is wanted; nothing is written when it is that already.

    A schedule that is paused stays so.

    Args:
        kubeflow: the connection.
        wanted: the schedule.
        wait: for a run in progress, instead of refusing.
        say: told what is waited for.
        sleep: waits seconds.

    Raises:
        RunFailedError: when a run of the schedule is in progress; the schedule is as it was.
        KubeflowError: from the API; the next call finishes what this one began.
    """
    outcome = _set_once(kubeflow, wanted, wait, say, sleep)
    if outcome.change == "unchanged":
        return outcome
    sleep(SECONDS_UNTIL_ALL_ARE_SEEN)
    if len(find_all(kubeflow, wanted.uploaded.pipeline_id, wanted.name)) > 1:  # another did the same meanwhile
        return replace(_set_once(kubeflow, wanted, wait, say, sleep), change=outcome.change)
    return outcome


def delete_schedule(kubeflow: Kubeflow, name: str, wait: bool, say: Say, sleep: Sleep = time.sleep) -> None:
    """Delete a schedule; arguments and errors as for ``set_schedule``."""
    mine = find_schedule(kubeflow, name)
    if not wait:
        _refuse_while_running(kubeflow, mine, None)
    _retire(kubeflow, mine, None, wait, say, sleep)
    for one in mine:
        delete(kubeflow, one)


def _set_once(kubeflow: Kubeflow, wanted: Wanted, wait: bool, say: Say, sleep: Sleep) -> Outcome:
    mine = find_all(kubeflow, wanted.uploaded.pipeline_id, wanted.name)
    new = _best([one for one in mine if is_same(one, wanted)])
    old = [one for one in mine if one is not new]
    if not mine:
        return Outcome("created", create(kubeflow, wanted, enabled=True).recurring_run_id, True)
    if new is not None and not old:
        return Outcome("unchanged", new.recurring_run_id, is_enabled(new))
    starts_runs = _starts_runs(mine)
    if not wait:
        _refuse_while_running(kubeflow, old, new)
    if new is None:
        ids = [one.recurring_run_id for one in old]
        new = create(kubeflow, wanted, enabled=False, replaces=ids, takes_over_enabled=starts_runs)
    _retire(kubeflow, old, new, wait, say, sleep)
    try:
        if starts_runs and not is_enabled(new):
            enable(kubeflow, new)
        for one in old:
            delete(kubeflow, one)
    except KubeflowError as error:
        error.args = (f"{error}; the change is half done: run sanefit schedule set again",)
        raise
    return Outcome("replaced", new.recurring_run_id, starts_runs)


def _best(same: list[V2beta1RecurringRun]) -> V2beta1RecurringRun | None:
    """Of several that are alike, one that starts runs, else the oldest."""
    return next((one for one in same if is_enabled(one)), same[0] if same else None)


def _starts_runs(mine: list[V2beta1RecurringRun]) -> bool:
    """Whether the schedule is meant to start runs, also in the middle of an interrupted change."""
    return any(is_enabled(one) or (takes_over_enabled(one) and _is_unfinished(one, mine)) for one in mine)


def _is_unfinished(one: V2beta1RecurringRun, mine: list[V2beta1RecurringRun]) -> bool:
    """Whether it has not taken over: one that it replaces is still there."""
    return not replaced_by(one).isdisjoint(other.recurring_run_id for other in mine)


def _refuse_while_running(kubeflow: Kubeflow, old: list[V2beta1RecurringRun], new: V2beta1RecurringRun | None) -> None:
    """Refuse before anything is written; only what an interrupted change has paused is put back."""
    if names := names_in_progress(kubeflow, old):
        if not any(is_enabled(one) for one in (*old, *filter(None, [new]))):
            _put_back(kubeflow, old, new)
        raise _in_progress(names)


def _retire(
    kubeflow: Kubeflow,
    old: list[V2beta1RecurringRun],
    new: V2beta1RecurringRun | None,
    wait: bool,
    say: Say,
    sleep: Sleep,
) -> None:
    """Pause the old ones and see that no run of theirs is in progress; or else put them back."""
    try:
        for one in old:
            if is_enabled(one):
                disable(kubeflow, one)
        sleep(SETTLE_SECONDS)
        while names := names_in_progress(kubeflow, old):
            if not wait:
                raise _in_progress(names)
            say(f"waiting for {', '.join(names)} to end")
            sleep(WAIT_INTERVAL)
    except KeyboardInterrupt:
        _put_back(kubeflow, old, new)
        raise RunFailedError("stopped waiting; the schedule is as it was") from None
    except SanefitError:
        _put_back(kubeflow, old, new)
        raise


def _put_back(kubeflow: Kubeflow, old: list[V2beta1RecurringRun], new: V2beta1RecurringRun | None) -> None:
    """Let the old ones start runs as before, also when it was an earlier call that paused them."""
    mine = [*old, new] if new is not None else old
    enabled = [one for one in old if is_enabled(one)]
    if _starts_runs(mine) and not any(is_enabled(one) for one in mine):
        enabled = old[-1:]
    for one in enabled:
        enable(kubeflow, one)
    if new is not None and not is_enabled(new) and _is_unfinished(new, mine) and not names_in_progress(kubeflow, [new]):
        delete(kubeflow, new)


def _in_progress(names: list[str]) -> RunFailedError:
    return RunFailedError(
        f"a run of this schedule is in progress ({', '.join(names)}); changing it now would stop that run; run again "
        "when it has ended, or give --wait"
    )
