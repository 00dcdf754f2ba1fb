"""Whether Kubeflow Pipelines answers, in which version, and whether it opens MLflow runs of its own."""

import json
from collections.abc import Iterator

from kfp_server_api import HealthzServiceApi, RunServiceApi  # type: ignore[import-untyped]
from kubernetes import client

from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.kubernetes_api import call

OLDEST_KUBEFLOW = (2, 14)
NAMESPACE_OF_A_SINGLE_USER = "kubeflow"
PUBLIC_FACTS = ("kubeflow-pipelines-public", "kubeflow_pipelines_version")  # a ConfigMap that everybody may read
LAUNCHER_SETTINGS = ("kfp-launcher", "plugins.mlflow")  # of a namespace's runs
NOT_SAID = ("", "unknown", "dev")


def kubeflow_finding(kubeflow: Kubeflow, api: client.ApiClient | None) -> tuple[bool, Finding]:
    """Whether it serves several users, and what there is to say.

    Args:
        kubeflow: the connection.
        api: of Kubernetes, which may know the version where the server does not say it.

    Raises:
        KubeflowError: when it does not answer.
    """
    health = HealthzServiceApi(kubeflow.client)
    answer = kubeflow.call("get health", health.healthz_service_get_healthz)
    multi_user = bool(answer.multi_user)
    if multi_user and not kubeflow.namespace:
        return True, Finding("Kubeflow", "failed", f"{kubeflow.endpoint} serves several users", "set --namespace")
    said = json.loads(kubeflow.client.last_response.data)  # the version is in no API document
    version = str(said.get("tag_name") or "")
    if version in NOT_SAID:
        version = _version_in_cluster(api) or version
    runs = RunServiceApi(kubeflow.client)
    kubeflow.call("list runs", runs.run_service_list_runs, page_size=1, **kubeflow.in_namespace())
    return multi_user, _of_version(f"{kubeflow.endpoint} answers, version {version or 'unknown'}", version)


def _of_version(seen: str, version: str) -> Finding:
    number = version.split(".")
    if not (len(number) > 1 and number[0].isdigit() and number[1].isdigit()):
        return Finding("Kubeflow", "ok", seen)
    if (int(number[0]), int(number[1])) < OLDEST_KUBEFLOW:
        oldest = ".".join(str(part) for part in OLDEST_KUBEFLOW)
        return Finding("Kubeflow", "failed", seen, f"upgrade it to {oldest} or newer")
    return Finding("Kubeflow", "ok", seen)


def plugin_finding(api: client.ApiClient, namespace: str) -> Iterator[Finding]:
    """Whether Kubeflow's MLflow plugin is set for the runs of a namespace; nothing where it is not."""
    name, key = LAUNCHER_SETTINGS
    if key in _config_map(api, name, namespace):
        yield Finding(
            "MLflow plugin",
            "warning",
            f"Kubeflow's own is set in ConfigMap {name!r} of {namespace!r}: beside each run of sanefit it opens one "
            "for the pipeline and one for each task, with parameters alone",
            f"take {key} out of it, or let defaultExperimentName keep them apart (docs/kubernetes.md)",
        )


def _version_in_cluster(api: client.ApiClient | None) -> str:
    name, key = PUBLIC_FACTS
    found = _config_map(api, name, NAMESPACE_OF_A_SINGLE_USER).get(key, "") if api is not None else ""
    return "" if found in NOT_SAID else found


def _config_map(api: client.ApiClient, name: str, namespace: str) -> dict[str, str]:
    """Its data; empty when it is not there, or not to be read."""
    try:
        found = call(client.CoreV1Api(api).read_namespaced_config_map, name, namespace)
    except client.ApiException:
        return {}
    return dict(found.data or {})
