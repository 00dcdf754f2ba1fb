"""What the Kubeflow Pipelines API answers when it does not do what it was asked, in one line each."""

import json
import re
from typing import Any

from kfp_server_api import ApiException  # type: ignore[import-untyped]
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from sanefit.components.foundation.errors import SanefitError

ROLE = "sanefit-submitter in k8s/base"
SIGN_IN = "set KFP_TOKEN, KFP_TOKEN_FILE or KFP_COOKIE"
LOGIN = re.compile(r"/dex|/oauth|/auth|/login|sign[ -]?in|log[ -]?in", re.IGNORECASE)
MESSAGE_LENGTH = 300
GRPC_NOT_FOUND = 5


class KubeflowError(SanefitError):
    """The API refused, failed or did not answer.

    ``status`` is the HTTP status, 0 when there was no answer. ``passing``: the same request may
    succeed later, ``retry_after`` seconds from now at the earliest. The exit status is 2 when the
    user can mend it, 1 when the cluster failed.
    """

    def __init__(
        self, message: str, *, status: int = 0, passing: bool = False, retry_after: float = 0.0, exit_status: int = 1
    ) -> None:
        super().__init__(message)
        self.status = status
        self.passing = passing
        self.retry_after = retry_after
        self.exit_status = exit_status


def refusal(error: ApiException, to: str, signed_in_with: str) -> KubeflowError:
    """For an answer with an HTTP status of failure.

    Args:
        error: the client's.
        to: what was asked for, as in ``list runs``.
        signed_in_with: where the credentials come from; empty without any.
    """
    status, body = int(error.status or 0), _text(error.body)
    location = str((error.headers or {}).get("Location", ""))
    if 300 <= status < 400:
        return not_signed_in(signed_in_with) if LOGIN.search(location) else _moved(status, location)
    if _is_page(body) and status < 500 and LOGIN.search(body):
        return not_signed_in(signed_in_with)
    said = server_message(body)
    if status == 401:
        return not_signed_in(signed_in_with, said)
    if status == 403:
        return KubeflowError(f"may not {to}{said}; ask for a Role with it, as {ROLE}", status=403, exit_status=2)
    if status == 404 and not _names_what_is_missing(body):
        return KubeflowError(
            f"cannot {to}: no Kubeflow Pipelines here{said}; expected an address as https://HOST/pipeline; correct it",
            exit_status=2,
        )
    if status == 404:
        return KubeflowError(f"cannot {to}: not found{said}; correct it", status=404, exit_status=2)
    if status == 429 or status >= 500:
        words = {429: "too many requests, ", 500: ""}.get(status, "not available, ")
        return KubeflowError(
            f"cannot {to}: {words}HTTP {status}{said}; try again later",
            status=status,
            passing=True,
            retry_after=_seconds((error.headers or {}).get("Retry-After")),
        )
    fix = "; give --namespace" if status == 400 and "namespace" in said.lower() else ""
    return KubeflowError(f"cannot {to}: HTTP {status}{said}{fix}", status=status, exit_status=1 if status == 409 else 2)


def no_answer(error: HTTPError, to: str) -> KubeflowError:
    """For a request that got no HTTP answer."""
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    if isinstance(reason, SSLError):
        words = _last_words(reason)
        fix = "name the certificates that sign it with --ca-cert, or correct the address"
        return KubeflowError(f"cannot {to}: its certificate is not trusted ({words}); {fix}", exit_status=2)
    if isinstance(reason, NameResolutionError):
        return KubeflowError(f"cannot {to}: no such host; correct the address", exit_status=2)
    if isinstance(reason, NewConnectionError):  # a kind of ConnectTimeoutError
        why = "connection refused" if "refused" in str(reason) else _last_words(reason)
        return KubeflowError(f"cannot {to}: {why}; is the server, or the port-forward, running?", passing=True)
    if isinstance(reason, ConnectTimeoutError | ReadTimeoutError):
        return KubeflowError(f"cannot {to}: no answer in time; try again, or look at the server", passing=True)
    if isinstance(reason, ProtocolError):
        return KubeflowError(f"cannot {to}: the connection broke; try again", passing=True)
    return KubeflowError(f"cannot {to}: {_last_words(reason)}", passing=True)


def not_an_api(body: str, to: str, signed_in_with: str) -> KubeflowError:
    """For an answer that says all is well and is no JSON object."""
    if _is_page(body) and LOGIN.search(body):
        return not_signed_in(signed_in_with)
    what = "an HTML page" if _is_page(body) else "no JSON"
    return KubeflowError(
        f"cannot {to}: the answer is {what}; expected Kubeflow Pipelines' API, as at https://HOST/pipeline; "
        "correct the address",
        exit_status=2,
    )


def not_signed_in(signed_in_with: str, said: str = "") -> KubeflowError:
    """For a login page or status 401."""
    fix = f"{signed_in_with} is not accepted: renew it" if signed_in_with else SIGN_IN
    return KubeflowError(f"not signed in{said}; {fix}", status=401, exit_status=2)


def server_message(body: str) -> str:
    """`` (what the server said)``, or nothing when it said nothing readable."""
    try:
        answer: Any = json.loads(body)
        details = [detail.get("message") for detail in answer.get("details", []) if isinstance(detail, dict)]
        said = next(filter(None, details), None) or answer.get("error_message") or answer.get("message") or ""
    except (ValueError, AttributeError, TypeError):
        return ""
    words = " ".join(str(said).split())
    return f" ({words[:MESSAGE_LENGTH]}{'…' if len(words) > MESSAGE_LENGTH else ''})" if words else ""


def _text(body: str | bytes | None) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")


def _names_what_is_missing(body: str) -> bool:
    """Whether a 404 is the API's own, of an object; an unknown path, or another server's, is not."""
    try:
        answer = json.loads(body)
        return answer["code"] == GRPC_NOT_FOUND and bool(answer["details"])
    except (ValueError, TypeError, KeyError):
        return False


def _moved(status: int, location: str) -> KubeflowError:
    where = location.split("?")[0]
    return KubeflowError(
        f"the address answers with a redirect to {where!r}; expected the API; use that address",
        status=status,
        exit_status=2,
    )


def _is_page(body: str) -> bool:
    return bool(re.match(r"\s*<(!doctype html|html|head|body)", body, re.IGNORECASE))


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _last_words(error: object) -> str:
    return " ".join(str(error).split(": ")[-1].split()).strip("()'\" ")
