"""Runs on the cluster: find, list, stop, retry."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from kfp_server_api import RunServiceApi, V2beta1Run, V2beta1RuntimeConfig  # type: ignore[import-untyped]

from sanefit.components.foundation.errors import RunFailedError, SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow, predicates
from sanefit.pipeline.kubeflow.client.errors import KubeflowError
from sanefit.pipeline.kubeflow.runs.pipeline_version import find_experiment, find_pipeline
from sanefit.pipeline.kubeflow.runs.run_states import ENDED, RETRIED, parameters_of, state_of, was_told_to_stop

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LISTED_AT_ONCE = 20
NEWEST_FIRST = "created_at desc"


def list_runs(kubeflow: Kubeflow, limit: int, name: str = "") -> list[V2beta1Run]:
    """The newest runs of sanefit's pipeline.

    Args:
        kubeflow: the connection.
        limit: at most so many.
        name: of a configuration; empty for all.

    Raises:
        KubeflowError: from the API.
    """
    pipeline_id = find_pipeline(kubeflow)
    options: dict[str, Any] = kubeflow.in_namespace()
    if name:
        options = {"experiment_id": find_experiment(kubeflow, name)}
    if pipeline_id is None or None in options.values():
        return []
    runs = _pages(kubeflow, page_size=LISTED_AT_ONCE, sort_by=NEWEST_FIRST, **options)
    ours = (run for run in runs if run.pipeline_version_reference and _of_pipeline(run, pipeline_id))
    return list(itertools.islice(ours, limit))


def runs_named(kubeflow: Kubeflow, name: str) -> list[V2beta1Run]:
    """All runs with a display name; names are not unique."""
    found = _pages(kubeflow, filter=predicates(("display_name", "EQUALS", name)), **kubeflow.in_namespace())
    return [run for run in found if run.display_name == name]


def runs_in_progress(kubeflow: Kubeflow, recurring_run_id: str) -> list[V2beta1Run]:
    """Runs that a recurring run started and that have not ended; states unknown to sanefit count."""
    not_ended = [("state", "NOT_EQUALS", state) for state in ENDED]
    wanted = predicates(("recurring_run_id", "EQUALS", recurring_run_id), *not_ended)
    found = _pages(kubeflow, filter=wanted, **kubeflow.in_namespace())
    return [run for run in found if run.recurring_run_id == recurring_run_id and run.state not in ENDED]


def last_run_of(kubeflow: Kubeflow, recurring_run_id: str) -> V2beta1Run | None:
    """The newest run that a recurring run started; None before the first."""
    wanted = predicates(("recurring_run_id", "EQUALS", recurring_run_id))
    options = kubeflow.in_namespace()
    found = _pages(kubeflow, filter=wanted, sort_by=NEWEST_FIRST, page_size=LISTED_AT_ONCE, **options)
    return next((run for run in found if run.recurring_run_id == recurring_run_id), None)


def find_run(kubeflow: Kubeflow, run: str) -> V2beta1Run:
    """A run by id or display name.

    Raises:
        SettingsError: when there is none, or several.
        KubeflowError: from the API.
    """
    if RUN_ID.fullmatch(run):
        return get_run(kubeflow, run)
    found = runs_named(kubeflow, run)
    if not found:
        raise SettingsError(f"no run is named {run!r}; expected an id or a name; sanefit runs list shows them")
    if len(found) > 1:
        ids = ", ".join(sorted(str(item.run_id) for item in found))
        raise SettingsError(f"{len(found)} runs are named {run!r}; expected one; give one of their ids: {ids}")
    return get_run(kubeflow, str(found[0].run_id))


def get_run(kubeflow: Kubeflow, run_id: str) -> V2beta1Run:
    """A run with its tasks.

    Raises:
        KubeflowError: from the API; with status 404 when it is gone.
    """
    return kubeflow.call("get runs", RunServiceApi(kubeflow.client).run_service_get_run, run_id)


def stop_run(kubeflow: Kubeflow, run: V2beta1Run) -> str:
    """Terminate a run; what to tell the user.

    Raises:
        KubeflowError: from the API.
    """
    if run.state in ENDED:
        return f"has already ended: {state_of(run)}"
    if run.state == "CANCELING":
        return "is already being stopped"
    try:
        kubeflow.call("terminate runs", RunServiceApi(kubeflow.client).run_service_terminate_run, run.run_id)
    except KubeflowError:
        now = get_run(kubeflow, str(run.run_id))
        if now.state not in (*ENDED, "CANCELING"):
            raise
        return f"has ended meanwhile: {state_of(now)}" if now.state in ENDED else "is being stopped"
    return "is being stopped"


def retry_run(kubeflow: Kubeflow, run: V2beta1Run) -> V2beta1Run:
    """Run the steps of an ended run again that did not succeed; the run that does.

    That is a new one for a run that was stopped, whose workflow would end at once again: it takes over the checks and
    the trials that are finished, which are named by what they are made of.

    Raises:
        RunFailedError: when the run did not fail.
        KubeflowError: from the API.
    """
    if run.state not in RETRIED:
        raise RunFailedError(
            f"run {run.display_name!r} is {state_of(run)}; expected one that failed or was stopped; nothing was retried"
        )
    if was_told_to_stop(run):
        return _started_again(kubeflow, run)
    kubeflow.call("retry runs", RunServiceApi(kubeflow.client).run_service_retry_run, run.run_id)
    return run


def _started_again(kubeflow: Kubeflow, run: V2beta1Run) -> V2beta1Run:
    endings = itertools.chain(["-again"], (f"-again-{number}" for number in itertools.count(2)))
    name = next(name for ending in endings if not runs_named(kubeflow, name := f"{run.display_name}{ending}"))
    wanted = V2beta1Run(
        display_name=name,
        experiment_id=run.experiment_id,
        pipeline_version_reference=run.pipeline_version_reference,
        runtime_config=V2beta1RuntimeConfig(parameters={**parameters_of(run), "run_name": name}),
        service_account=run.service_account,
    )
    return create_run(kubeflow, wanted)


def create_run(kubeflow: Kubeflow, wanted: V2beta1Run) -> V2beta1Run:
    """Start a run; as the server has it.

    Raises:
        KubeflowError: from the API.
    """
    return kubeflow.call("create runs", RunServiceApi(kubeflow.client).run_service_create_run, wanted)


def _pages(kubeflow: Kubeflow, **options: Any) -> Iterator[V2beta1Run]:
    return kubeflow.pages("list runs", RunServiceApi(kubeflow.client).run_service_list_runs, "runs", **options)


def _of_pipeline(run: V2beta1Run, pipeline_id: str) -> bool:
    return bool(run.pipeline_version_reference.pipeline_id == pipeline_id)
