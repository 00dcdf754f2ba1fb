"""How the Kubeflow Pipelines API is reached: an address, the pod's own cluster, or the kubeconfig's."""

import os
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path

from kfp_server_api import ApiClient, Configuration  # type: ignore[import-untyped]
from urllib3 import Retry

from sanefit.components.foundation.errors import SettingsError
from sanefit.pipeline.kubeflow.client.api import Kubeflow
from sanefit.pipeline.kubeflow.client.credentials import Credentials, find_credentials, require_protected

IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
THROUGH_KUBERNETES = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
FORWARDED_UI = "http://127.0.0.1:8080"
FORWARD_UI = " (after kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80)"


def connect(
    endpoint: str = "",
    namespace: str = "",
    ca_cert: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Kubeflow:
    """Prepare a connection; nothing is sent yet.

    Args:
        endpoint: of the API; empty for the pod's own cluster, or else the kubeconfig's.
        namespace: on a Kubeflow with several users.
        ca_cert: certificates to trust for ``endpoint``.
        environment: gives the credentials.

    Raises:
        SettingsError: when the address, the certificates or the credentials cannot be used.
    """
    credentials = find_credentials(environment)
    if not endpoint and "KUBERNETES_SERVICE_HOST" not in environment:
        return _through_kubernetes(namespace, credentials, ca_cert)
    address = _checked(endpoint or IN_CLUSTER)
    require_protected(address, credentials)
    settings = _settings(address)
    if ca_cert is not None:
        if not ca_cert.is_file():
            raise SettingsError(f"--ca-cert {str(ca_cert)!r}: no such file; expected certificates in PEM; correct it")
        settings.ssl_ca_cert = str(ca_cert)
    if credentials.token is not None:
        _sign_in(settings, credentials.token)
    ui, hint = (address, "") if endpoint else (FORWARDED_UI, FORWARD_UI)
    return Kubeflow(_client(settings, credentials.cookie), address, namespace, credentials, ui, hint)


def _through_kubernetes(namespace: str, credentials: Credentials, ca_cert: Path | None) -> Kubeflow:
    from sanefit.pipeline.kubeflow.client.kubernetes_api import connect as connect_to_kubernetes

    if credentials.source or ca_cert is not None:
        given = credentials.source or "--ca-cert"
        raise SettingsError(
            f"{given} is given without an endpoint; set --endpoint or KFP_ENDPOINT to the API's address"
        )
    kubernetes = connect_to_kubernetes()
    if kubernetes is None:
        raise SettingsError(
            "no Kubeflow Pipelines is named; set --endpoint or KFP_ENDPOINT to the API's address, or KUBECONFIG"
        )
    theirs = kubernetes.configuration
    settings = _settings(theirs.host.rstrip("/") + THROUGH_KUBERNETES)
    for name in ("verify_ssl", "ssl_ca_cert", "cert_file", "key_file", "assert_hostname", "proxy"):
        setattr(settings, name, getattr(theirs, name, None))
    if "authorization" in theirs.api_key:  # kubernetes' own client renews it; it holds the word Bearer
        settings.api_key = {"authorization": ""}
        settings.refresh_api_key_hook = lambda ours: ours.api_key.update(
            authorization=theirs.get_api_key_with_prefix("authorization")
        )
    shown = f"{theirs.host} (the kubeconfig's cluster)"
    return Kubeflow(_client(settings, None), shown, namespace, Credentials("the kubeconfig"), FORWARDED_UI, FORWARD_UI)


def _checked(endpoint: str) -> str:
    address = urllib.parse.urlsplit(endpoint)
    try:
        usable = address.scheme in ("http", "https") and address.hostname and (address.port is None or address.port > 0)
    except ValueError:
        usable = False
    if not usable or address.query or address.fragment or " " in endpoint:
        shown = repr(endpoint) if "@" not in endpoint else "the address"
        raise SettingsError(
            f"--endpoint: {shown}; expected a URL, as in https://kubeflow.example.com/pipeline; correct it"
        )
    if address.username or address.password:
        raise SettingsError("--endpoint holds a user name or password; expected none; use KFP_TOKEN or KFP_COOKIE")
    return endpoint.rstrip("/")


def _settings(host: str) -> Configuration:
    settings = Configuration(host=host)
    # One try, and a redirect is an answer: it may lead to a login page, or elsewhere with our token.
    settings.retries = Retry(total=0, raise_on_redirect=False, raise_on_status=False)
    return settings


def _sign_in(settings: Configuration, token: Callable[[], str]) -> None:
    settings.api_key = {"authorization": ""}
    settings.api_key_prefix = {"authorization": "Bearer"}
    settings.refresh_api_key_hook = lambda ours: ours.api_key.update(authorization=token())


def _client(settings: Configuration, cookie: str | None) -> ApiClient:
    client = ApiClient(settings, cookie=cookie)
    client.user_agent = "sanefit"
    return client
