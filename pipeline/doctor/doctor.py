"""What is reachable from here, what is missing, and what to do about it."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from sanefit import __version__
from sanefit.components.foundation.errors import SanefitError
from sanefit.components.foundation.schemas.recipients import variable_of
from sanefit.pipeline.container_images import container_images
from sanefit.pipeline.doctor.cluster_findings import kind_findings, object_findings, permission_findings
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.doctor.image_findings import image_findings
from sanefit.pipeline.doctor.kubeflow_findings import NAMESPACE_OF_A_SINGLE_USER, kubeflow_finding, plugin_finding
from sanefit.pipeline.doctor.node_findings import node_findings
from sanefit.pipeline.doctor.service_findings import mlflow_finding, source_finding, storage_finding
from sanefit.pipeline.kubeflow.client.connection import connect as connect_to_kubeflow
from sanefit.pipeline.kubeflow.client.kubernetes_api import connect as connect_to_kubernetes
from sanefit.pipeline.settings.run_config import RunConfig


def examine(config: RunConfig, endpoint: str, namespace: str, ca_cert: Path | None) -> Iterator[Finding]:
    """One finding after another, as they are made.

    Args:
        config: its section ``cluster`` is compared with the cluster.
        endpoint, namespace, ca_cert: of Kubeflow Pipelines, as for ``submit``.
    """
    names = ("kfp", "mlflow", "torch")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    yield Finding("versions", "ok", f"sanefit {__version__}, {versions}")
    api, multi_user = connect_to_kubernetes(), False
    try:
        kubeflow = connect_to_kubeflow(endpoint, namespace, ca_cert)
        multi_user, finding = kubeflow_finding(kubeflow, api)
        yield finding
    except SanefitError as error:
        yield Finding("Kubeflow", "failed", str(error))
    yield mlflow_finding(config.cluster, api)
    yield storage_finding(config.cluster, api)
    if found := source_finding(config.data.source, config.cluster):
        yield found
    try:
        images = container_images(config.cluster.images)
        yield from image_findings(images, config)
    except SanefitError as error:
        yield Finding("image", "failed", str(error))
    if api is None:
        fix = "set KUBECONFIG to check nodes, secrets and permissions"
        yield Finding("Kubernetes", "unknown", "no cluster is named", fix)
        return
    home = namespace or NAMESPACE_OF_A_SINGLE_USER
    yield from plugin_finding(api, home)
    yield from node_findings(api, config.cluster)
    yield from kind_findings(api, config.cluster)
    yield from object_findings(api, config.cluster, home, variable_of(config.registry.notify_url))
    if multi_user:
        yield from permission_findings(api, home)
