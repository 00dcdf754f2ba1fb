"""Why a run failed, from what its steps said of themselves; the orchestrator's word is the last resort."""

from sanefit.components.foundation.errors import TOLD_TO_END
from sanefit.components.foundation.schemas.run_record import RunRecord, StepRecord
from sanefit.components.foundation.schemas.runs import RunSummary

GOOD_STATES = frozenset({"SUCCEEDED", "COMPLETE", "CACHED"})  # kfp.local says the first, a cluster the others
ENDED = GOOD_STATES | {"FAILED", "CANCELLED", "CANCELED", "SKIPPED"}
LOOK = "`sanefit runs show` asks the cluster"


def has_succeeded(state: str, summary: RunSummary | None) -> bool:
    """Whether a run did all that it was to do.

    Kubeflow 2.14 to 2.17 may call a run running that has ended, well or not; what it wrote says which.

    Args:
        state: the orchestrator's word.
        summary: of the run's last page.
    """
    return state in GOOD_STATES or (state not in ENDED and summary is not None and summary.model_uri is not None)


def why_failed(record: RunRecord, summary: RunSummary | None, message: str) -> str:
    """One line.

    Args:
        record: of the run.
        summary: of the run's last page.
        message: the orchestrator's; a state alone says nothing.
    """
    failed = sorted(
        (step for step in record.steps if step.state == "failed"), key=lambda step: (step.ended or 0.0, step.step)
    )
    stopped = [step for step in failed if step.reason.startswith(TOLD_TO_END)]  # by whom, the message may say
    for step in failed:
        if step not in stopped:
            return f"{step.step}: {step.reason}"
    if summary is not None and summary.failed_checks:
        return " | ".join(summary.failed_checks)
    if message and message.upper() not in {*ENDED, "RUNNING", "PENDING"}:
        return message
    if stopped:
        return f"{stopped[0].step}: {stopped[0].reason}"
    return _without_a_word(record.steps)


def _without_a_word(steps: list[StepRecord]) -> str:
    """What began and did not end; else where the run was when it ended."""
    ordered = sorted(steps, key=lambda step: (step.started, step.step))
    cut_off = [step.step for step in ordered if step.state == "running"]
    if cut_off:
        return f"{', '.join(cut_off)}: ended without a word, as a container that is stopped or out of memory; {LOOK}"
    after = f" after {ordered[-1].step!r}" if ordered else ""
    return f"it ended{after}, and no step said why: a container may not have started; {LOOK}"
