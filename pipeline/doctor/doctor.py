"""What is reachable from here, what is missing, and what to do about it."""

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path

from kfp_server_api import HealthzServiceApi, RunServiceApi  # type: ignore[import-untyped]

from sanefit import __version__
from sanefit.components.foundation.errors import SanefitError
from sanefit.components.foundation.schemas.recipients import variable_of
from sanefit.pipeline.container_images import container_images
from sanefit.pipeline.doctor.cluster_findings import node_findings, object_findings, permission_findings
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.doctor.service_findings import image_findings, mlflow_finding, storage_finding
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.connection import connect as connect_to_kubeflow
from sanefit.pipeline.kubeflow.client.kubernetes_api import connect as connect_to_kubernetes
from sanefit.pipeline.settings.run_config import RunConfig

OLDEST_KUBEFLOW = (2, 14)
NAMESPACE_OF_A_SINGLE_USER = "kubeflow"


def examine(config: RunConfig, endpoint: str, namespace: str, ca_cert: Path | None) -> Iterator[Finding]:
    """One finding after another, as they are made.

    Args:
        config: its section ``cluster`` is compared with the cluster.
        endpoint, namespace, ca_cert: of Kubeflow Pipelines, as for ``submit``.
    """
    names = ("kfp", "mlflow", "torch")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    yield Finding("versions", "ok", f"sanefit {__version__}, {versions}")
    multi_user = False
    try:
        kubeflow = connect_to_kubeflow(endpoint, namespace, ca_cert)
        multi_user, version = _health(kubeflow)
        yield _kubeflow_finding(kubeflow, multi_user, version)
    except SanefitError as error:
        yield Finding("Kubeflow", "failed", str(error))
    api = connect_to_kubernetes()
    yield mlflow_finding(config.cluster, api)
    yield storage_finding(config.cluster, api)
    try:
        images = container_images(config.cluster.images)
        yield from image_findings((images.data, images.trainer), config.cluster)
    except SanefitError as error:
        yield Finding("image", "failed", str(error))
    if api is None:
        fix = "set KUBECONFIG to check nodes, secrets and permissions"
        yield Finding("Kubernetes", "unknown", "no cluster is named", fix)
        return
    home = namespace or NAMESPACE_OF_A_SINGLE_USER
    yield from node_findings(api, config.cluster)
    yield from object_findings(api, config.cluster, home, variable_of(config.registry.notify_url))
    if multi_user:
        yield from permission_findings(api, home)


def _health(kubeflow: Kubeflow) -> tuple[bool, str]:
    """Whether it serves several users, and its version, empty when it does not say."""
    health = HealthzServiceApi(kubeflow.client)
    answer = kubeflow.call("get health", health.healthz_service_get_healthz)
    said = json.loads(kubeflow.client.last_response.data)  # the version is in no API document
    return bool(answer.multi_user), str(said.get("tag_name") or "")


def _kubeflow_finding(kubeflow: Kubeflow, multi_user: bool, version: str) -> Finding:
    if multi_user and not kubeflow.namespace:
        return Finding("Kubeflow", "failed", f"{kubeflow.endpoint} serves several users", "set --namespace")
    runs = RunServiceApi(kubeflow.client)
    kubeflow.call("list runs", runs.run_service_list_runs, page_size=1, **kubeflow.in_namespace())
    seen = f"{kubeflow.endpoint} answers, version {version or 'unknown'}"
    number = version.split(".")
    if not (len(number) > 1 and number[0].isdigit() and number[1].isdigit()):
        return Finding("Kubeflow", "ok", seen)
    if (int(number[0]), int(number[1])) < OLDEST_KUBEFLOW:
        oldest = ".".join(str(part) for part in OLDEST_KUBEFLOW)
        return Finding("Kubeflow", "failed", seen, f"upgrade it to {oldest} or newer")
    return Finding("Kubeflow", "ok", seen)
