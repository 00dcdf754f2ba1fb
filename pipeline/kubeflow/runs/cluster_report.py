"""The page of a run on a cluster, fetched from the run's storage or, without keys to that, from MLflow."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sanefit.components.foundation.errors import RunFailedError, StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run
from sanefit.pipeline.kubeflow.runs.run_record import Place, folders_of, name_of_run, places_of, require_readable

REPORT = "report.html"  # what MLflow calls it
Attached = Callable[[str, str, str], bytes | None]  # takes MLflow's address, the id of Kubeflow's run, and a path


def fetch_report(
    kubeflow: Kubeflow, run: str, workdir: Path, attached: Attached, environment: Mapping[str, str] | None = None
) -> Path:
    """Copy the page of a run into the work directory; its path there.

    Args:
        kubeflow: a connection.
        run: the run's id or name.
        workdir: takes ``runs/RUN/report.html``.
        attached: reads a file that MLflow keeps with a run; raises StorageError when it cannot be asked.
        environment: may name MLflow's address as seen from here; this process's by default.

    Raises:
        RunFailedError: when there is no page yet, or none that can be read from here: what was tried, in that order.
    """
    found = find_run(kubeflow, run)
    known = dict(os.environ) if environment is None else environment
    tried = []
    for place in places_of(found, known):
        try:
            require_readable(place, known)
            page = attached(place.address, str(found.run_id), REPORT) if place.is_mlflow else _stored(found, place)
        except StorageError as error:
            tried.append(f"{place.name}: {str(error).partition(';')[0]}")
            continue
        if page is not None:
            copy = Path(Storage(str(workdir)).run(name_of_run(found)).report)
            object_store.write_bytes(str(copy), page)
            return copy
        tried.append(f"{place.name}: no page yet")
    raise RunFailedError(
        f"run {name_of_run(found)!r} has no page that can be read from here ({'; '.join(tried)}); expected one after "
        "its checks, in MLflow once it has ended; look again later, or give AWS_ACCESS_KEY_ID or MLFLOW_TRACKING_URI"
    )


def _stored(run: Any, place: Place) -> bytes | None:
    pages = (folder.report for folder in folders_of(run, place.address))
    return next((object_store.read_bytes(page) for page in pages if object_store.exists(page)), None)
