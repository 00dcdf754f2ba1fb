"""Whether MLflow and the storage answer."""

import importlib.metadata
import os
import re
import urllib.parse

import requests
from kubernetes import client

from sanefit.components.foundation.errors import StorageError
from sanefit.components.foundation.schemas.sources import kind_of
from sanefit.components.foundation.storage import object_store
from sanefit.components.foundation.storage.remote_stores import is_remote, scheme_of
from sanefit.pipeline.doctor.cluster_findings import reason, service_has_endpoints
from sanefit.pipeline.doctor.findings import Finding
from sanefit.pipeline.settings.cluster_settings import ClusterSettings

ANSWER_SECONDS = 10
STORES = {"s3": "S3", "gs": "Google storage", "az": "Azure storage"}


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
        return Finding("storage", "failed", "no bucket is named", "set cluster.storage, as in s3://bucket/sanefit")
    if cluster.storage.startswith("file://"):
        return Finding("storage", "unknown", f"{cluster.storage} is a folder of a volume, which pods alone see")
    is_s3 = cluster.storage.startswith("s3://")
    if is_s3 and cluster.s3_endpoint and (inside := _inside_finding("S3", cluster.s3_endpoint, api)):
        return inside
    return _listed_finding("cluster.storage", cluster.storage, cluster)


def source_finding(source: str, cluster: ClusterSettings) -> Finding | None:
    """Whether the images can be listed with the credentials at hand, where they lie in an object store."""
    place = kind_of(source).place(source)
    if not is_remote(place) or (place.startswith("s3://") and cluster.s3_endpoint):  # which only pods may reach
        return None
    return _listed_finding("data.source", re.split(r"[{*?]", place, maxsplit=1)[0].rpartition("/")[0], cluster)


def _listed_finding(key: str, uri: str, cluster: ClusterSettings) -> Finding:
    given = {"AWS_ENDPOINT_URL": cluster.s3_endpoint, "AZURE_STORAGE_ACCOUNT_NAME": cluster.azure_account}
    for name, value in given.items():
        if value:
            os.environ.setdefault(name, value)
    scheme = scheme_of(uri)
    what = STORES[scheme] if key == "cluster.storage" else "images"
    try:
        object_store.list_folders(uri)
    except StorageError as error:
        where = {"s3": "cluster.s3_endpoint, ", "az": "cluster.azure_account, "}.get(scheme, "")
        fix = f"correct {key}, {where}or the credentials"
        return Finding(what, "failed", str(error).split(";")[0], fix)
    return Finding(what, "ok", f"{uri} can be listed with the credentials at hand")


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
