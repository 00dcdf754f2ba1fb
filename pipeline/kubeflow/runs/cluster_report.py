"""The page of a run on a cluster, fetched from the run's storage."""

from pathlib import Path

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage, name_of_clone
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.runs.cluster_runs import find_run


def fetch_report(kubeflow: Kubeflow, run: str, workdir: Path) -> Path:
    """Copy the page of a run into the work directory; its path there.

    Args:
        kubeflow: a connection.
        run: the run's id or name.
        workdir: takes ``runs/RUN/report.html``; S3 is read with the credentials at hand.

    Raises:
        RunFailedError: when the run has written no page yet.
        StorageError: when the storage cannot be read.
    """
    found = find_run(kubeflow, run)
    parameters = (found.runtime_config.parameters if found.runtime_config else None) or {}
    storage, asked = Storage(str(parameters.get("storage", ""))), str(parameters.get("run_name") or found.display_name)
    names = (name_of_clone(asked, str(found.run_id)), asked)
    for name in names:
        if object_store.exists(storage.run(name).report):
            copy = Path(Storage(str(workdir)).run(name).report)
            object_store.write_bytes(str(copy), object_store.read_bytes(storage.run(name).report))
            return copy
    uri = storage.run(asked).report
    raise RunFailedError(f"run {asked!r} has no page at {uri!r} yet; expected one after its checks; look again later")
