"""What Kubeflow's API tells of a run: its parameters, and its states and what they come to for a user."""

from datetime import datetime
from typing import Any

SUCCEEDED, FAILED, CANCELED, SKIPPED = "SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"
RUNNING, PENDING, CANCELING = "RUNNING", "PENDING", "CANCELING"
ENDED = (SUCCEEDED, FAILED, CANCELED, SKIPPED)
RETRIED = (FAILED, CANCELED)
STOPPED = "stopped"


def state_of(run: Any) -> str:
    """A run's state in lower case; ``stopped`` for one that was told to, ``unknown`` when the server gives none."""
    state = str(run.state or "")
    if was_told_to_stop(run):
        return STOPPED
    return "unknown" if state in ("", "RUNTIME_STATE_UNSPECIFIED") else state.lower()


def was_told_to_stop(run: Any) -> bool:
    """Whether a run ended because it was told to: Kubeflow calls such a run failed, after it was canceling."""
    states = [str(status.state) for status in run.state_history or ()]
    while states and states[-1] == FAILED:
        states.pop()
    return bool(run.state == CANCELED or (run.state == FAILED and states and states[-1] == CANCELING))


def last_began(run: Any) -> datetime | None:
    """When a run began, the last time that it did: a retry begins anew."""
    begun = [status.update_time for status in run.state_history or () if status.state == RUNNING]
    return begun[-1] if begun else None


def parameters_of(run: Any) -> dict[str, Any]:
    """The parameters that a run was given."""
    return (run.runtime_config.parameters if run.runtime_config else None) or {}
