"""The REST server of one version of a model: MLflow's, in a process of its own, on a port of this machine."""

import asyncio
import contextlib
import http.client
import socket
import tempfile
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path

from sanefit.components.foundation.errors import RunFailedError, first_line
from sanefit.components.foundation.tracking.model_server import fetch_model, server_command
from sanefit.components.model_registry.relay import LOOPBACK

READY_WITHIN = 600.0  # seconds
PING_EVERY = 0.2
ANSWERED_WITHIN = 60.0  # MLflow's own limit of a request


@dataclass(frozen=True)
class VersionServer:
    """A server that answers; closing ``resources`` ends it, when it has answered, and removes its files."""

    version: str
    port: int
    process: Process
    resources: contextlib.AsyncExitStack


async def start_version(model_name: str, version: str) -> VersionServer:
    """Start a server, and wait for its first answer.

    Raises:
        RunFailedError: when it cannot be had; nothing is left of it.
    """
    model_uri = f"models:/{model_name}/{version}"
    async with contextlib.AsyncExitStack() as resources:
        try:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="sanefit-")))
            files = await asyncio.to_thread(fetch_model, model_uri, folder)
        except Exception as error:  # of whichever artifact store it is, or a full disk
            raise RunFailedError(
                f"{model_uri} cannot be fetched: {first_line(error)}; expected its files in the artifact store, "
                "and room for them here; restore them, or `sanefit registry rollback`"
            ) from error
        port = _free_port()
        command, variables = server_command(files, port)
        process = await asyncio.create_subprocess_exec(*command, env=variables)
        resources.push_async_callback(_end, process)
        await _require_answer(model_uri, process, port)
        return VersionServer(version, port, process, resources.pop_all())


async def ends_within(process: Process, seconds: float) -> bool:
    """Wait for a process, but not longer than this; whether it has ended."""
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        return False
    return True


async def _end(process: Process) -> None:
    """Told to end, it takes nothing new, and answers what it was asked."""
    for end in (process.terminate, process.kill):
        with contextlib.suppress(ProcessLookupError):
            end()
        if await ends_within(process, ANSWERED_WITHIN):
            return


async def _require_answer(model_uri: str, process: Process, port: int) -> None:
    """Raise RunFailedError when the server ends before it answers, or takes too long."""
    try:
        async with asyncio.timeout(READY_WITHIN):
            while not await asyncio.to_thread(_answers, port):
                if await ends_within(process, PING_EVERY):
                    raise RunFailedError(
                        f"{model_uri} cannot be served: its server ended with status {process.returncode}; expected an "
                        "answer; its own lines, above, say why"
                    )
    except TimeoutError:
        raise RunFailedError(
            f"{model_uri} cannot be served: no answer within {READY_WITHIN:g} seconds; expected one; give it more cores"
        ) from None


def _answers(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection(LOOPBACK, port, timeout=5)) as connection:
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
