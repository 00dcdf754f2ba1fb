"""Who asks the Kubeflow Pipelines API: a token or a session cookie, never from the command line."""

import contextlib
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sanefit.components.foundation.errors import SettingsError

GIVEN = ("KFP_TOKEN", "KFP_TOKEN_FILE", "KFP_COOKIE")
POD_TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
INSIDE_A_CLUSTER = (".svc", ".svc.cluster.local")


@dataclass(frozen=True, repr=False)
class Credentials:
    """``source`` names where they come from, for messages; it is empty when there are none.

    ``token`` is called for every request, for a pod's token rotates.
    """

    source: str = ""
    token: Callable[[], str] | None = None
    cookie: str | None = None

    def hide(self, text: str) -> str:
        """The text without the secret, should a server have repeated it."""
        with contextlib.suppress(SettingsError):  # the file of the token is gone
            secret = self.token() if self.token else self.cookie
            return text.replace(secret, "***") if secret else text
        return text


def find_credentials(environment: Mapping[str, str], pod_token: Path = POD_TOKEN) -> Credentials:
    """The credentials that the environment gives, or a pod's own token.

    Raises:
        SettingsError: when there are several, or one cannot be sent.
    """
    given = [name for name in GIVEN if environment.get(name)]
    if len(given) > 1:
        raise SettingsError(f"{' and '.join(given)} are set; expected one of them; unset the others")
    if not given:
        return _of_the_pod(environment, pod_token)
    name, value = given[0], environment[given[0]].strip()
    if name == "KFP_TOKEN_FILE":
        return _of_file(name, Path(value))
    if name == "KFP_TOKEN":
        token = _sendable(value, name)
        return Credentials(name, token=lambda: token)
    if not re.fullmatch(r"[^\s;=]+=[!-:<-~]+(; ?[^\s;=]+=[!-:<-~]+)*", value):
        raise SettingsError("KFP_COOKIE: expected name=value, as a browser sends the session cookie; correct it")
    return Credentials(name, cookie=value)


def require_protected(endpoint: str, credentials: Credentials) -> None:
    """Refuse to send a secret where it could be read on the way.

    Raises:
        SettingsError: for plain http to a host that is neither this machine nor inside the cluster.
    """
    address = urllib.parse.urlsplit(endpoint)
    host = address.hostname or ""
    if not credentials.source or address.scheme == "https" or _is_loopback(host) or host.endswith(INSIDE_A_CLUSTER):
        return
    raise SettingsError(
        f"{credentials.source} would go to {endpoint!r} unencrypted; expected https, this machine or a service of the "
        f"cluster; use https, use kubectl port-forward, or unset {credentials.source}"
    )


def _of_the_pod(environment: Mapping[str, str], pod_token: Path) -> Credentials:
    if path := environment.get(POD_TOKEN_VARIABLE):
        return _of_file(POD_TOKEN_VARIABLE, Path(path))
    return _of_file("the pod's token", pod_token) if pod_token.is_file() else Credentials()


def _of_file(source: str, path: Path) -> Credentials:
    def read() -> str:
        try:
            return _sendable(path.read_text(encoding="ascii").strip(), f"{source}={str(path)!r}")
        except OSError as error:
            raise SettingsError(
                f"{source}={str(path)!r}: {error.strerror}; expected a file that holds the token; correct {source}"
            ) from None
        except UnicodeDecodeError:
            raise SettingsError(f"{source}={str(path)!r}: expected a token in ASCII; correct the file") from None

    read()
    return Credentials(source, token=read)


def _sendable(token: str, what: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise SettingsError(f"{what}: expected one token without spaces; correct it")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
