"""What a run on the cluster has done and is doing: Kubeflow's tasks, and over them what the run says of itself."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sanefit.components.foundation.schemas.run_record import PackProgress, RunRecord, StepRecord
from sanefit.pipeline.kubeflow.runs.argo_workflow import Workflow
from sanefit.pipeline.kubeflow.runs.failure_reason import NOTHING
from sanefit.pipeline.kubeflow.runs.run_states import (
    CANCELED,
    ENDED,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    was_told_to_stop,
)
from sanefit.pipeline.kubeflow.runs.run_steps import Step, in_order, steps_of, steps_of_workflow, steps_outside_stages
from sanefit.pipeline.task_names import STAGES, TASKS_OF_EARLIER_RUNS

STEPS_OF_EARLIER_RUNS = {task.name for task in TASKS_OF_EARLIER_RUNS.values()}  # each was a task of its own


def progress_of(run: Any, record: RunRecord, workflow: Workflow | None = None) -> list[Step]:
    """The steps of a run in the order in which they began.

    What the run says of itself goes before what Kubeflow says, whose list of tasks is frozen once a workflow is large.

    Args:
        run: with its tasks.
        record: what the run said.
        workflow: Argo's, where it is at hand.
    """
    begun = [step.step for step in record.steps]
    shown = [step for step in _of_kubeflow(run, record, workflow) if not _is_stale(step, run)]
    if not any(step.name in STEPS_OF_EARLIER_RUNS for step in shown):
        shown = [_as_begun(step, begun) for step in shown]
    steps = {step.name: step for step in shown}
    packs = {pack.step: pack for pack in record.packs}
    for said in record.steps:
        known = steps.get(said.step)
        # A pod that was killed says nothing, nor does one that waits for its next try.
        if known is None or said.state != "running" or known.state not in (FAILED, PENDING):
            known = _step(said, packs.get(said.step), run)
        steps[said.step] = replace(known, name=_with_packs(said.step, packs.get(said.step)))
    return in_order([*steps.values()])


def said_of(step: Step) -> str:
    """A step's state for the user, as in ``succeeded in 1 min 5 s``."""
    took = f" in {duration(step.seconds)}" if step.seconds is not None and step.state in ENDED else ""
    more = step.error if step.state in (FAILED, PENDING) else step.said
    return f"{step.state.lower()}{took}{f': {more}' if more else ''}"


def followed_text(step: Step) -> str:
    """The same for whoever is told of every change: how far hundreds of packs have come is said of their stage."""
    is_pack_at_work = step.state == RUNNING and " pack " in step.name
    return said_of(replace(step, said="") if is_pack_at_work else step)


def stage_lines(record: RunRecord) -> dict[str, str]:
    """For each stage of the search that has begun, how far its packs have come together."""
    wanted = ("ended", "trials", "metric", "best_score", "seconds_left")
    return {f"{stage['stage']} search": _in_words(*(stage[key] for key in wanted)) for stage in stage_records(record)}


def stage_records(record: RunRecord) -> list[dict[str, Any]]:
    """The same for a program: trials that ``ended`` of all ``trials``, and the seconds left where they can be told."""
    stages = ([pack for pack in record.packs if pack.stage == stage] for stage in STAGES)
    return [_together(packs) for packs in stages if packs]


def duration(seconds: float) -> str:
    """As in ``2 h 3 min``, ``1 min 5 s`` or ``7 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _of_kubeflow(run: Any, record: RunRecord, workflow: Workflow | None) -> list[Step]:
    if workflow is not None:
        return steps_of_workflow(workflow)
    return steps_outside_stages(run) if record.steps else steps_of(run)


def _as_begun(step: Step, begun: Collection[str]) -> Step:
    """A task that several steps share is shown as the last of them that has begun."""
    parts = [part for part in step.parts if part in begun]
    return replace(step, name=parts[-1]) if parts else step


def _is_stale(step: Step, run: Any) -> bool:
    """Of a run that has ended, tasks that Kubeflow has not looked at since."""
    return run.state in ENDED and step.state not in ENDED


def _step(said: StepRecord, pack: PackProgress | None, run: Any) -> Step:
    state, error = _state(said, run)
    last = _in_words(pack.ended, pack.trials, pack.metric, pack.best_score, pack.seconds_left) if pack else said.said
    return Step(
        name=said.step,
        state=state,
        started=datetime.fromtimestamp(said.started, UTC),
        ended=datetime.fromtimestamp(said.ended, UTC) if said.ended is not None else None,
        error=error,
        said=last if pack or state == RUNNING else "",
    )


def _state(said: StepRecord, run: Any) -> tuple[str, str]:
    """State and error; a step of a run that has ended does not run any more, whatever it said last."""
    if said.state == "succeeded" or (said.state == "running" and run.state == SUCCEEDED):
        return SUCCEEDED, ""
    if said.state == "failed":
        return FAILED, said.reason
    if run.state not in ENDED:
        return RUNNING, ""
    return (CANCELED, "") if was_told_to_stop(run) else (FAILED, NOTHING)


def _with_packs(step: str, pack: PackProgress | None) -> str:
    return f"{step} of {pack.packs}" if pack else step


def _together(packs: Sequence[PackProgress]) -> dict[str, Any]:
    scores = [pack.best_score for pack in packs if pack.best_score is not None]
    return {
        "stage": packs[0].stage,
        "ended": sum(pack.ended for pack in packs),
        "trials": packs[0].trials_in_stage,
        "packs": packs[0].packs,
        "metric": packs[0].metric,
        "best_score": max(scores, default=None),
        "seconds_left": _seconds_left(packs),
    }


def _seconds_left(packs: Sequence[PackProgress]) -> float | None:
    """Of the pack that needs longest; None when one cannot tell, or has not begun."""
    each = [pack.seconds_left for pack in packs]
    if len(packs) < packs[0].packs or None in each:
        return None
    return max(seconds for seconds in each if seconds is not None)


def _in_words(ended: int, trials: int, metric: str, best_score: float | None, seconds_left: float | None) -> str:
    left = f"about {duration(seconds_left)} left" if seconds_left and ended < trials else ""
    return ", ".join(filter(None, [f"{ended} of {trials} trials", _best(metric, best_score), left]))


def _best(metric: str, score: float | None) -> str:
    if score is None:
        return ""
    value = -math.log(score) if metric == "loss" and score > 0 else score
    return f"best validation {metric.replace('_', ' ')} {value:.4f}"
