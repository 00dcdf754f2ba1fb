"""Whether MLflow, S3 and the registry of the images answer."""

import importlib.metadata
import os
import urllib.parse
from collections.abc import Iterator, Sequence

import requests
from kubernetes import client

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.storage import object_store
from sanefit.pipeline.doctor.cluster_findings import reason, service_has_endpoints
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.settings.cluster_settings import ClusterSettings

ANSWER_SECONDS = 10
MANIFEST_TYPES = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


def mlflow_finding(cluster: ClusterSettings, api: client.ApiClient | None) -> Finding:
    """Whether the tracking server answers, and with which version."""
    uri = cluster.tracking_uri
    if not uri:
        return Finding("MLflow", "failed", "no tracking server is named", "set cluster.tracking_uri")
    if inside := _inside_finding("MLflow", uri, api):
        return inside
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=ANSWER_SECONDS, auth=_mlflow_login())
    except requests.RequestException as error:
        return Finding(
            "MLflow",
            "failed",
            f"{uri} does not answer: {type(error).__name__}",
            "start it, or correct cluster.tracking_uri",
        )
    if answer.status_code == 403:
        fix = "start the server with this host in --allowed-hosts, or give MLFLOW_TRACKING_USERNAME and …_PASSWORD"
        return Finding("MLflow", "failed", f"{uri} answers 403", fix)
    if not answer.ok:
        return Finding(
            "MLflow", "failed", f"{uri} answers {answer.status_code}", "correct cluster.tracking_uri or its credentials"
        )
    ours = importlib.metadata.version("mlflow")
    if answer.text.split(".")[:2] != ours.split(".")[:2]:
        return Finding(
            "MLflow", "warning", f"{uri} has version {answer.text[:20]}, the steps {ours}", "run one minor version"
        )
    return Finding("MLflow", "ok", f"{uri} answers, version {answer.text}")


def storage_finding(cluster: ClusterSettings, api: client.ApiClient | None) -> Finding:
    """Whether the bucket can be listed with the credentials at hand."""
    if not cluster.storage:
        return Finding("S3", "failed", "no bucket is named", "set cluster.storage, as in s3://bucket/sanefit")
    if cluster.s3_endpoint and (inside := _inside_finding("S3", cluster.s3_endpoint, api)):
        return inside
    if cluster.s3_endpoint:
        os.environ.setdefault("AWS_ENDPOINT_URL", cluster.s3_endpoint)
    try:
        object_store.exists(object_store.join(cluster.storage, "runs"))
    except StorageError as error:
        fix = "correct cluster.storage, cluster.s3_endpoint or the credentials"
        return Finding("S3", "failed", str(error).split(";")[0], fix)
    return Finding("S3", "ok", f"{cluster.storage} can be listed with the credentials at hand")


def image_findings(images: Sequence[str], cluster: ClusterSettings) -> Iterator[Finding]:
    """Whether the registry has the images that the steps run in."""
    for image in images:
        yield _image_finding(image, cluster)


def _image_finding(image: str, cluster: ClusterSettings) -> Finding:
    registry, repository, reference = split_reference(image)
    if not registry:
        return Finding("image", "failed", f"{image!r} is in no registry", "make push REGISTRY=HOST/FOLDER")
    scheme = "http" if registry.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    try:
        url = f"{scheme}://{registry}/v2/{repository}/manifests/{reference}"
        answer = requests.head(url, headers={"Accept": MANIFEST_TYPES}, timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        return Finding(
            "image", "failed", f"registry {registry} does not answer: {type(error).__name__}", "correct the registry"
        )
    if answer.status_code in (401, 403):
        if cluster.image_pull_secrets:
            return Finding("image", "unknown", f"{image!r}: the registry wants credentials, which pods have")
        return Finding(
            "image", "warning", f"{image!r}: the registry wants credentials", "set cluster.image_pull_secrets"
        )
    if not answer.ok:
        return Finding("image", "failed", f"{image!r}: the registry answers {answer.status_code}", "make push")
    return Finding("image", "ok", f"{image!r} is there")


def split_reference(image: str) -> tuple[str, str, str]:
    """Registry (empty when none is named), repository, and tag or digest of an image reference."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else ""
    path = rest if registry else name
    repository, _, tag = path.partition(":")
    return registry, repository, digest or tag or "latest"


def _inside_finding(what: str, url: str, api: client.ApiClient | None) -> Finding | None:
    """For an address that only pods can resolve, seen from outside: ask Kubernetes. None: ask the address."""
    parts = (urllib.parse.urlsplit(url).hostname or "").split(".")
    if len(parts) < 3 or parts[2] != "svc" or "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    service, namespace = parts[:2]
    if api is None:
        return Finding(
            what, "unknown", f"{url} is an address inside the cluster", "set KUBECONFIG to check it from here"
        )
    try:
        ready = service_has_endpoints(api, service, namespace)
    except client.ApiException as error:
        return Finding(what, "unknown", f"service {service!r} in {namespace!r} cannot be read: {reason(error)}")
    if not ready:
        return Finding(
            what, "failed", f"no pod that is ready stands behind service {service!r} in {namespace!r}", "start it"
        )
    return Finding(what, "ok", f"service {service!r} in {namespace!r} has pods that are ready")


def _mlflow_login() -> tuple[str, str] | None:
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{key}") for key in ("USERNAME", "PASSWORD"))
    return (user, password) if user and password else None
