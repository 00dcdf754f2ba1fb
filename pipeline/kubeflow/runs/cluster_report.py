"""The page of a run on a cluster, fetched from the run's storage."""

from pathlib import Path

from sanefit.components.foundation.errors import RunFailedError
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.layout import Storage
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
    name = str(parameters.get("run_name") or found.display_name)
    uri = Storage(str(parameters.get("storage", ""))).run(name).report
    if not object_store.exists(uri):
        raise RunFailedError(
            f"run {name!r} has no page at {uri!r} yet; expected one after its checks; look again later"
        )
    copy = Path(Storage(str(workdir)).run(name).report)
    object_store.write_bytes(str(copy), object_store.read_bytes(uri))
    return copy
