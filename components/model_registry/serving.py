"""Answer for a model's champion over REST, whichever version that is: ``python -m …serving NAME``.

Each version has a server of its own. When the alias moves, the new version's is started beside the present one, and
gets every connection that comes once it answers; the other ends when it has answered what it was asked. So no request
is refused, and a champion that cannot be loaded changes nothing.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import signal
import sys
from dataclasses import dataclass

from sanefit.components.foundation.errors import RunFailedError, SanefitError, SettingsError, first_line
from sanefit.components.foundation.schemas.runs import CHAMPION
from sanefit.components.foundation.step_lines.step_log import Say
from sanefit.components.foundation.tracking.connection import Client, connect
from sanefit.components.foundation.tracking.models import champion_version
from sanefit.components.foundation.tracking.readiness import require_server
from sanefit.components.model_registry.relay import LOOPBACK, Relay
from sanefit.components.model_registry.version_server import VersionServer, ends_within, start_version

OVERLAP = 2.0  # seconds: what was accepted before the exchange has been read by then
PATIENCE = 10  # looks at the alias before a version that could not be started is tried again


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int


@dataclass
class Trouble:
    """Why the alias is not followed, as said last; the version that was tried last is left alone for some looks."""

    said: str = ""
    version: str = ""
    looks: int = 0


async def serve_champion(tracking: Client, model_name: str, address: Address, every: float, say: Say) -> None:
    """Answer for the version under the alias ``champion`` until the task is cancelled.

    Args:
        tracking: a client; while it gets no answer, the version that is served stays.
        model_name: the registered model.
        address: where to listen.
        every: seconds between looks at the alias.
        say: prints a line.

    Raises:
        SettingsError: when there is no champion, or the address cannot be listened on.
        StorageError: when there is no MLflow that answers.
        RunFailedError: when the first server cannot be started, or the one that answers ends by itself.
    """
    relay, trouble = Relay(), Trouble()
    async with await _bound(relay, address) as listener:
        present = await start_version(model_name, _first_champion(tracking, model_name))
        relay.port = present.port
        try:
            await listener.start_serving()
            say(f"models:/{model_name}/{present.version} answers on {address.host}:{address.port}")
            while not await ends_within(present.process, every):
                successor = await _successor(tracking, model_name, present.version, trouble, say)
                if successor is not None:
                    before, present = present, successor
                    await _exchange(relay, before, present)
                    say(f"models:/{model_name}/{present.version} answers in place of version {before.version}")
            raise RunFailedError(
                f"the server of models:/{model_name}/{present.version} ended with status {present.process.returncode}; "
                "expected it to answer; its own lines, above, say why"
            )
        finally:
            listener.close()
            await present.resources.aclose()


def _first_champion(tracking: Client, model_name: str) -> str:
    require_server(tracking, model_name)
    version = champion_version(tracking, model_name)
    if version is None:
        raise SettingsError(
            f"no version of a model {model_name!r} has the alias {CHAMPION!r}; expected one; correct the name, or make "
            "one champion: `sanefit registry promote`"
        )
    return version


async def _bound(relay: Relay, address: Address) -> asyncio.Server:
    """Nobody else gets the address, but nothing comes in yet."""
    try:
        return await asyncio.start_server(relay.connect, address.host, address.port, start_serving=False)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"cannot listen on {address.host}:{address.port}: {first_line(error)}; expected a free port of this "
            "machine; choose another --port or --host"
        ) from None


async def _successor(
    tracking: Client, model_name: str, present: str, trouble: Trouble, say: Say
) -> VersionServer | None:
    """The server of another version that is champion now, once it answers; None where all stays as it is."""
    reason = ""
    trouble.looks -= 1
    try:
        version = await _champion_now(tracking, model_name)
        if version != present and (version != trouble.version or trouble.looks < 0):
            trouble.version, trouble.looks = version, PATIENCE
            return await start_version(model_name, version)
    except (RunFailedError, OSError) as error:
        reason = first_line(error)
    if reason and reason != trouble.said:
        say(f"warning: {reason}; version {present} stays")
    trouble.said = reason
    return None


async def _champion_now(tracking: Client, model_name: str) -> str:
    """Its version; RunFailedError where none can be had."""
    try:
        version = await asyncio.to_thread(champion_version, tracking, model_name)
    except Exception as error:  # of whichever store it is: an HTTP client's, a database's
        raise RunFailedError(f"MLflow does not say which version is champion: {first_line(error)}") from error
    if version is None:
        raise RunFailedError(f"no version has the alias {CHAMPION!r}")
    return version


async def _exchange(relay: Relay, before: VersionServer, after: VersionServer) -> None:
    relay.port = after.port
    try:
        await asyncio.sleep(OVERLAP)
    finally:
        await before.resources.aclose()


async def _until_stopped(tracking_uri: str, given: argparse.Namespace) -> None:
    say = functools.partial(print, flush=True)
    address = Address(given.host, given.port)
    serving = asyncio.create_task(serve_champion(connect(tracking_uri), given.name, address, given.every, say))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> None:
    """Serve until SIGTERM or SIGINT; an error for the user is one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m sanefit.components.model_registry.serving",
        description="Answer for a model's champion over REST, as `mlflow models serve` does, and follow its alias.",
        epilog="MLFLOW_TRACKING_URI says where the model is. Example: … digits-files --port 8080",
    )
    parser.add_argument("name", metavar="NAME", help="the registered model, as digits-files")
    parser.add_argument("--host", default=LOOPBACK, help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="where to listen (%(default)s)")
    parser.add_argument("--every", type=float, default=30, help="seconds between looks at the alias (%(default)s)")
    given = parser.parse_args()
    try:
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            raise SettingsError("MLFLOW_TRACKING_URI is not set; expected the address of MLflow; set it")
        if not given.every > 0:
            raise SettingsError(f"--every={given.every:g}: expected seconds, more than 0; correct it")
        asyncio.run(_until_stopped(uri, given))
    except SanefitError as error:
        print(f"sanefit: error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
