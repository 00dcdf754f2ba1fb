"""The Kubernetes API, read with whatever account is at hand."""

import os
from typing import Any

from kubernetes import client, config

REQUEST_TIMEOUT = (5, 15)  # seconds to connect, to answer


def connect() -> client.ApiClient | None:
    """In a pod its own account, elsewhere the current context of the kubeconfig; None where there is neither."""
    try:
        settings = client.Configuration()
        config.load_incluster_config(client_configuration=settings)
        return client.ApiClient(settings)
    except config.ConfigException:
        pass
    try:
        # The library would look at the variable when it is imported, and not again.
        return config.new_client_from_config(config_file=os.environ.get("KUBECONFIG"))
    except (config.ConfigException, OSError):
        return None


def call(method: Any, *arguments: Any, **options: Any) -> Any:
    """Call a method of the API with a time limit.

    Raises:
        client.ApiException: with status 403, 404, …; status 0 when the server could not be reached.
    """
    from urllib3.exceptions import HTTPError

    try:
        return method(*arguments, _request_timeout=REQUEST_TIMEOUT, **options)
    except HTTPError as error:
        raise client.ApiException(status=0, reason=" ".join(str(error).split())) from error
