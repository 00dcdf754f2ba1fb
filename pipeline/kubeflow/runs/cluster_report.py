"""The page of a run on a cluster, fetched from the run's storage or, without keys to that, from MLflow."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sanefit.components.foundation.errors import RunFailedError, StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage, name_of_clone
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run
from sanefit.pipeline.kubeflow.runs.run_record import places_of, require_readable
from sanefit.pipeline.kubeflow.runs.run_states import parameters_of

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
    asked = str(parameters_of(found).get("run_name") or found.display_name)
    known = dict(os.environ) if environment is None else environment
    tried = []
    for place, address in places_of(found, known):
        try:
            require_readable(address, known)
            stored = _stored(found, asked, address) if place == address else None
            page = stored if place == address else attached(address, str(found.run_id), REPORT)
        except StorageError as error:
            tried.append(f"{place}: {str(error).partition(';')[0]}")
            continue
        if page is not None:
            copy = Path(Storage(str(workdir)).run(asked).report)
            object_store.write_bytes(str(copy), page)
            return copy
        tried.append(f"{place}: no page yet")
    raise RunFailedError(
        f"run {asked!r} has no page that can be read from here ({'; '.join(tried)}); expected one after its checks, in "
        "MLflow once it has ended; look again later, or give AWS_ACCESS_KEY_ID or MLFLOW_TRACKING_URI"
    )


def _stored(run: Any, asked: str, storage: str) -> bytes | None:
    """A clone of a run has a folder of its own."""
    pages = (Storage(storage).run(name).report for name in (name_of_clone(asked, str(run.run_id)), asked))
    return next((object_store.read_bytes(page) for page in pages if object_store.exists(page)), None)
