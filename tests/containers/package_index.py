"""The packages that pip finds on this machine, for pip in a build.

A build sees neither the machine's files nor its certificates: folders are served on 127.0.0.1,
and pip's configuration and the certificates are handed over as secrets of the build.
"""

import functools
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi

OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host")


@dataclass(frozen=True)
class BuildSecrets:
    """Files for ``make images``."""

    pip_configuration: Path
    certificates: Path


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def build_secrets(folder: Path) -> Iterator[BuildSecrets]:
    """Write the secrets to ``folder``; folders of packages are served meanwhile."""
    with ExitStack() as servers:
        lines = [f"{option} = {_for_a_build(value, servers)}" for option, value in pip_options().items()]
        configuration = folder / "pip.conf"
        certificate = "cert = /run/secrets/ca-certificates.crt"
        configuration.write_text("\n".join(["[global]", certificate, "timeout = 180", *lines, ""]))
        yield BuildSecrets(configuration, _certificates())


def pip_options() -> dict[str, str]:
    """pip's options for finding packages, from its configuration files and the environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in OPTIONS:
            found[option] = value.strip("'\"").replace("\\n", " ")
    return found


def _certificates() -> Path:
    named = os.environ.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    return Path(named or certifi.where())


def _for_a_build(value: str, servers: ExitStack) -> str:
    return " ".join(_served(word, servers) for word in value.split())


def _served(word: str, servers: ExitStack) -> str:
    """A folder as a URL; everything else as it is."""
    folder = Path(word.removeprefix("file://").rstrip("/"))
    if not folder.is_absolute():
        return word
    if folder.name == "simple":  # an index, whose files lie beside it
        return f"{servers.enter_context(_server(folder.parent))}/simple"
    return servers.enter_context(_server(folder))


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
