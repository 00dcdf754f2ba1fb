"""Who is told of a promotion or a failure: a webhook, or a command. No message here shows what was given.

The address of a webhook is often a secret, and so may be an argument of a command.
"""

import re
from urllib.parse import urlsplit

VARIABLE = "env:"  # before the name of the environment variable that holds the address
ADDRESS = "expected https://HOST/…, http://HOST/…, or env:NAME, the environment variable that holds such an address"


def require_recipient(url: object, command: object) -> None:
    """Raise ValueError unless at most one of them is given, and can be used."""
    if reason := _why_not_url(url) or _why_not_command(command):
        raise ValueError(reason)
    if url is not None and command is not None:
        raise ValueError(
            "registry.notify_url and registry.notify_command are both set; expected one of them; remove the other, or "
            "let the command send to the address"
        )


def variable_of(url: str | None) -> str:
    """The environment variable that holds the address; empty when none does."""
    return url.removeprefix(VARIABLE) if url and url.startswith(VARIABLE) else ""


def is_address(text: str) -> bool:
    """Whether something can be sent there by HTTP."""
    try:
        address = urlsplit(text)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        return False


def _why_not_url(url: object) -> str:
    """One line; empty when it can be used, or there is none."""
    if url is None:
        return ""
    if not isinstance(url, str):
        return f"registry.notify_url: {ADDRESS}; correct it"
    if url.startswith(VARIABLE):
        named = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable_of(url))
        return (
            "" if named else "registry.notify_url: expected the name of an environment variable after env:; correct it"
        )
    if not is_address(url) or re.search(r"\s", url):
        return f"registry.notify_url: {ADDRESS}; correct it"
    if "@" in urlsplit(url).netloc:
        return (
            f"registry.notify_url holds a user or a password for {urlsplit(url).hostname!r}; expected an "
            "address alone, for it is kept with the run; put it into an environment variable, and set "
            "registry.notify_url=env:NAME"
        )
    return ""


def _why_not_command(command: object) -> str:
    """One line; empty when it can be used, or there is none."""
    words = command if isinstance(command, list | tuple) else ()
    if command is None or (words and words[0] and all(isinstance(word, str) and "\0" not in word for word in words)):
        return ""
    return (
        "registry.notify_command: expected a program and its arguments, each a text, as in "
        "[/opt/tell, --team, vision]; correct it"
    )
