"""Schedules as they are: find, list, pause, resume."""

from kfp_server_api import V2beta1RecurringRun  # type: ignore[import-untyped]

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.pipeline_version import find_pipeline
from sanefit.pipeline.schedules.recurring_runs import delete, disable, enable, find_all, is_enabled, names_in_progress


def pause_schedule(kubeflow: Kubeflow, name: str) -> bool:
    """Start no more runs; whether any would have been started. A run in progress goes on."""
    mine = find_schedule(kubeflow, name)
    enabled = [one for one in mine if is_enabled(one)]
    for one in enabled:
        disable(kubeflow, one)
    kept = (enabled or mine)[0]
    for one in mine:  # an unfinished change would be finished by the next set, and enable it again
        if one is not kept and not names_in_progress(kubeflow, [one]):
            delete(kubeflow, one)
    return bool(enabled)


def resume_schedule(kubeflow: Kubeflow, name: str) -> bool:
    """Start runs again; whether it had been paused.

    Raises:
        SettingsError: when a change of this schedule was interrupted.
    """
    mine = find_schedule(kubeflow, name)
    if len(mine) > 1:
        raise SettingsError(
            f"schedule {name!r}: {len(mine)} recurring runs have this name, for a change was interrupted; expected "
            "one; run sanefit schedule set again"
        )
    if is_enabled(mine[0]):
        return False
    enable(kubeflow, mine[0])
    return True


def find_schedule(kubeflow: Kubeflow, name: str) -> list[V2beta1RecurringRun]:
    """The recurring runs of a schedule: one, or more while a change is unfinished.

    Raises:
        SettingsError: when there is none.
    """
    known = list_schedules(kubeflow)
    mine = [one for one in known if one.display_name == name]
    if not mine:
        names = ", ".join(sorted({str(one.display_name) for one in known})) or "none"
        raise SettingsError(f"no schedule is named {name!r}; expected one of those on the cluster: {names}")
    return mine


def list_schedules(kubeflow: Kubeflow) -> list[V2beta1RecurringRun]:
    """All recurring runs of sanefit's pipeline, oldest first."""
    pipeline_id = find_pipeline(kubeflow)
    return [] if pipeline_id is None else find_all(kubeflow, pipeline_id)
