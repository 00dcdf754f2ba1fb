"""Connections that are passed on to a server which may be exchanged for another."""

import asyncio
import contextlib
from dataclasses import dataclass

PIECE = 1 << 16  # bytes
LOOPBACK = "127.0.0.1"


@dataclass
class Relay:
    """Passes what comes on to ``port`` of this machine; a connection stays with the server that it began with."""

    port: int = 0

    async def connect(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Pass one connection on, both ways, until the server ends it or the client is gone."""
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:  # it has ended; whoever started it will notice
            to_client.close()
            return
        asking = asyncio.create_task(_copy(from_client, to_server))
        try:
            await _copy(from_server, to_client)
        finally:
            asking.cancel()
            to_server.close()
            to_client.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Byte for byte, the end included."""
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(PIECE):
            target.write(piece)
            await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
