"""What the Kubernetes API tells of permissions, the kinds that it knows, and the objects that a run refers to."""

import json
from collections.abc import Iterator

from kubernetes import client

from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.kubeflow.client.kubernetes_api import call
from sanefit.pipeline.placement import (
    AZURE_SECRET_KEYS,
    GOOGLE_SECRET_KEYS,
    MLFLOW_SECRET_KEYS,
    S3_SECRET_KEYS,
    SIGNING_SECRET_KEYS,
)
from sanefit.pipeline.settings.cluster_settings import ClusterSettings

KUEUE = "kueue.x-k8s.io"
# What the overlay needs beside Kubernetes' own: the software that brings it, and the component that uses it.
GROUPS_OF_PROD = {
    "external-secrets.io": ("External Secrets", "components/external-secrets"),
    KUEUE: ("Kueue", "components/kueue"),
}
API_VERBS = {
    "pipelines": ("create", "get", "list"),
    "experiments": ("create", "list"),
    "runs": ("create", "get", "list", "delete", "terminate", "retry"),
    "jobs": ("create", "list", "enable", "disable", "delete"),
}


def object_findings(
    api: client.ApiClient, cluster: ClusterSettings, namespace: str, notify_variable: str
) -> Iterator[Finding]:
    """Whether the service account, the secrets and the queue are there, with what runs read from them."""
    core = client.CoreV1Api(api)
    yield _exists("service account", core.read_namespaced_service_account, cluster.service_account, namespace)
    wanted: dict[str, tuple[str, ...]] = {}
    for secret, keys in (
        (cluster.s3_secret, S3_SECRET_KEYS),
        (cluster.google_secret, GOOGLE_SECRET_KEYS),
        (cluster.azure_secret, AZURE_SECRET_KEYS),
        (cluster.mlflow_secret, MLFLOW_SECRET_KEYS),
        (cluster.signing_secret, SIGNING_SECRET_KEYS),
        (cluster.notify_secret if notify_variable else "", (notify_variable,)),
        *((secret, (".dockerconfigjson",)) for secret in cluster.image_pull_secrets),
    ):
        wanted[secret] = (*wanted.get(secret, ()), *keys)
    for secret, keys in wanted.items():
        if secret:
            yield _exists("secret", core.read_namespaced_secret, secret, namespace, keys)
    if notify_variable and not cluster.notify_secret:
        yield Finding(
            "notify", "warning", f"no secret gives {notify_variable} to the steps", "set cluster.notify_secret"
        )
    for volume in cluster.volumes:
        yield _exists("volume", core.read_namespaced_persistent_volume_claim, volume.claim, namespace)
    if cluster.kueue_queue:
        yield _exists("Kueue queue", _read_queue(api), cluster.kueue_queue, namespace)


def kind_findings(api: client.ApiClient, cluster: ClusterSettings) -> Iterator[Finding]:
    """Which kinds of the overlay ``prod`` this cluster does not know: kubectl applies the rest, and leaves half."""
    try:
        known = {group.name for group in call(client.ApisApi(api).get_api_versions).groups}
    except client.ApiException as error:
        yield Finding("kinds", "unknown", f"cannot be listed: {reason(error)}")
        return
    missing = {group: names for group, names in GROUPS_OF_PROD.items() if group not in known}
    if not missing:
        return
    software = " and ".join(name for name, _ in missing.values())
    yield Finding(
        "kinds",
        "failed" if KUEUE in missing and cluster.kueue_queue else "ok",
        f"the cluster knows no kind of {' or '.join(missing)}, as k8s/overlays/prod needs them, and k8s/overlays/dev "
        "does not: half of prod would be applied",
        f"install {software} before it, or take {' and '.join(folder for _, folder in missing.values())} out of it",
    )


def permission_findings(api: client.ApiClient, namespace: str) -> Iterator[Finding]:
    """Whether this account may submit runs; only a multi-user Kubeflow asks."""
    refused = []
    for resource, verbs in API_VERBS.items():
        for verb in verbs:
            try:
                if not _may(api, verb, resource, namespace):
                    refused.append(f"{verb} {resource}")
            except client.ApiException as error:
                yield Finding("permissions", "unknown", f"cannot be asked for: {reason(error)}")
                return
    if refused:
        fix = f"bind this account to the Role sanefit-submitter in {namespace!r} (k8s/base)"
        yield Finding("permissions", "failed", f"may not {', '.join(refused)} of pipelines.kubeflow.org", fix)
    else:
        yield Finding("permissions", "ok", f"may submit and schedule runs in {namespace!r}")


def service_has_endpoints(api: client.ApiClient, service: str, namespace: str) -> bool:
    """Whether a pod that is ready stands behind a Service.

    Raises:
        client.ApiException: when it cannot be asked.
    """
    answer = call(
        client.DiscoveryV1Api(api).list_namespaced_endpoint_slice,
        namespace,
        label_selector=f"kubernetes.io/service-name={service}",
        _preload_content=False,  # the library refuses what a Service without pods has: ``endpoints: null``
    )
    endpoints = [endpoint for part in json.loads(answer.data)["items"] for endpoint in part.get("endpoints") or ()]
    return any((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints)


def reason(error: client.ApiException) -> str:
    """A few words for an answer of the Kubernetes API."""
    words = {0: "the API server cannot be reached", 401: "not signed in", 403: "not allowed", 404: "not found"}
    return words.get(error.status, f"HTTP {error.status} {error.reason}")


def _exists(what: str, read: object, name: str, namespace: str, keys: tuple[str, ...] = ()) -> Finding:
    try:
        found = call(read, name, namespace)
    except client.ApiException as error:
        if error.status == 404:
            return Finding(what, "failed", f"{name!r} is not in namespace {namespace!r}", "create it (see k8s/)")
        return Finding(what, "unknown", f"{name!r} cannot be read: {reason(error)}")
    missing = [key for key in keys if key not in (found.data or {})]
    if missing:
        return Finding(what, "failed", f"{name!r} has no key {', '.join(missing)}", "add what is missing")
    return Finding(what, "ok", f"{name!r} is in namespace {namespace!r}")


def _read_queue(api: client.ApiClient) -> object:
    def read(name: str, namespace: str, **options: object) -> object:
        objects = client.CustomObjectsApi(api)
        return objects.get_namespaced_custom_object(KUEUE, "v1beta1", namespace, "localqueues", name, **options)

    return read


def _may(api: client.ApiClient, verb: str, resource: str, namespace: str) -> bool:
    attributes = client.V1ResourceAttributes(
        group="pipelines.kubeflow.org", resource=resource, verb=verb, namespace=namespace
    )
    question = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    )
    answer = call(client.AuthorizationV1Api(api).create_self_subject_access_review, question)
    return bool(answer.status.allowed)
