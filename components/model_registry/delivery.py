"""Hand a text to a webhook or a command; whatever happens, the run goes on, and no address is shown."""

import contextlib
import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from sanefit.components.foundation.schemas.recipients import is_address, variable_of
from sanefit.components.foundation.schemas.registry import RegistrySettings

TRIES = 3
# They write whole addresses: of every new try, as a warning.
LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


@dataclass(frozen=True)
class Patience:
    """In seconds: ``answer`` of a webhook, for each try; ``pause`` before the third try; ``command``: a command."""

    answer: float = 10.0
    pause: float = 2.0
    command: float = 60.0


PATIENCE = Patience()


@dataclass(frozen=True)
class Delivery:
    """To whom, in words that may be shown, and why it was not delivered; empty when it was."""

    recipient: str
    failure: str


def deliver(
    content: str, settings: RegistrySettings, environment: Mapping[str, str], patience: Patience
) -> Delivery | None:
    """Hand over what the settings ask for; None when they ask for nothing.

    Args:
        content: JSON.
        settings: say to whom.
        environment: holds the address, where it is a secret.
        patience: how long it may take.
    """
    if settings.notify_command:
        program = settings.notify_command[0]
        return Delivery(f"the command {program!r}", _run(settings.notify_command, content, patience))
    if not settings.notify_url:
        return None
    url = settings.notify_url
    if variable := variable_of(url):
        url = environment.get(variable, "").strip()
        if not is_address(url):
            return Delivery(f"the address in {variable}", _why_no_address(variable, url))
    return Delivery(urlsplit(url).hostname or "", _post(url, content, patience))


def _why_no_address(variable: str, found: str) -> str:
    if found:
        return f"the environment variable {variable} holds no http:// or https:// address; correct it"
    return (
        f"the environment variable {variable} is not set in this step; set it, on a cluster by the secret that "
        "cluster.notify_secret names"
    )


def _post(url: str, content: str, patience: Patience) -> str:
    """Why it was not taken, in words without the address; empty when it was.

    A try whose answer did not come may have arrived all the same: the next one then says it again.
    """
    retry = Retry(
        total=TRIES - 1,
        status_forcelist=range(500, 600),
        allowed_methods=None,  # POST, too
        backoff_factor=patience.pause / 2,
        raise_on_status=False,
        respect_retry_after_header=False,  # a step does not wait for hours
    )
    try:
        with _nothing_logged(), requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retry))
            answer = session.post(
                url,
                data=content.encode(),
                headers={"Content-Type": "application/json"},
                timeout=patience.answer,
                allow_redirects=False,  # a POST would go on as a GET
                stream=True,  # whatever else it says is not read
            )
            status = answer.status_code
    except Exception as error:  # requests', urllib3's, or the system's: their texts hold the address
        return f"no answer ({_kind_of(error)})"
    return "" if 200 <= status < 300 else f"it answers HTTP {status}"


def _kind_of(error: Exception) -> str:
    """What lies behind a requests error, by its class alone, as NewConnectionError or ReadTimeoutError."""
    inner = error.args[0] if error.args else error
    return type(getattr(inner, "reason", inner) if isinstance(inner, Exception) else error).__name__


@contextlib.contextmanager
def _nothing_logged() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _run(command: Sequence[str], content: str, patience: Patience) -> str:
    """Why it was not taken; empty when it was. What the command prints is not shown: it may name an address."""
    try:
        ended = subprocess.run(
            command,
            input=content.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=patience.command,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it was not done within {patience.command:g} s, and was stopped"
    except (OSError, ValueError) as error:  # ValueError: words that are no text to the system
        return f"it cannot be started: {getattr(error, 'strerror', None) or type(error).__name__}"
    return "" if ended.returncode == 0 else f"it ended with status {ended.returncode}"
