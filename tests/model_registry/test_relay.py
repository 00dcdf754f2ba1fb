"""Connections that are passed on: against real servers on this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hypothesis
import hypothesis.strategies as st
import pytest

from sanefit.components.model_registry.relay import Relay

HOST = "127.0.0.1"
WITHIN = 20.0  # seconds; a relay that hangs fails


@asynccontextmanager
async def echoing(mark: bytes) -> AsyncIterator[int]:
    """A server that gives back what it is sent, each piece after its mark, until the client's end; its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            writer.write(mark + piece)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def relayed(relay: Relay) -> AsyncIterator[int]:
    async with await asyncio.start_server(relay.connect, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: bytes) -> bytes:
    writer.write(question)
    return await reader.readexactly(len(question) + 1)


def test_a_connection_stays_with_its_server_and_the_next_one_goes_to_the_new_one() -> None:
    async def exchange() -> list[bytes]:
        async with asyncio.timeout(WITHIN), echoing(b"1") as first, echoing(b"2") as second:
            relay = Relay(first)
            async with relayed(relay) as port:
                before = await asyncio.open_connection(HOST, port)
                answers = [await ask(*before, b"a")]
                relay.port = second
                after = await asyncio.open_connection(HOST, port)
                answers += [await ask(*before, b"b"), await ask(*after, b"c")]
                before[1].close()
                after[1].close()
                return answers

    assert asyncio.run(exchange()) == [b"1a", b"1b", b"2c"]


@hypothesis.given(st.lists(st.binary(min_size=1, max_size=200_000), min_size=1, max_size=5))
@hypothesis.settings(max_examples=25)
def test_every_byte_arrives_in_its_order_and_so_does_the_end(pieces: list[bytes]) -> None:
    async def exchange() -> tuple[bytes, bytes]:
        received = bytearray()

        async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read())
            writer.write(bytes(reversed(received)))
            writer.close()

        async with (
            asyncio.timeout(WITHIN),
            await asyncio.start_server(collect, HOST, 0) as server,
            relayed(Relay(server.sockets[0].getsockname()[1])) as port,
        ):
            reader, writer = await asyncio.open_connection(HOST, port)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return bytes(received), answer

    received, answer = asyncio.run(exchange())
    assert received == b"".join(pieces)
    assert answer == received[::-1]


@pytest.mark.parametrize("abrupt", [False, True])
def test_a_client_that_goes_away_ends_the_connection_to_the_server(abrupt: bool) -> None:
    async def exchange() -> None:
        gone = asyncio.Event()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            gone.set()

        async with (
            asyncio.timeout(WITHIN),
            await asyncio.start_server(wait, HOST, 0) as server,
            relayed(Relay(server.sockets[0].getsockname()[1])) as port,
        ):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"half a question")
            await writer.drain()
            if abrupt:
                writer.transport.abort()
            else:
                writer.close()
            await gone.wait()

    asyncio.run(exchange())


def test_where_no_server_is_the_client_is_not_left_waiting() -> None:
    async def exchange() -> bytes:
        async with asyncio.timeout(WITHIN):
            async with echoing(b"") as port_of_none:
                pass
            async with relayed(Relay(port_of_none)) as port:
                reader, writer = await asyncio.open_connection(HOST, port)
                answer = await reader.read()
                writer.close()
                return answer

    assert asyncio.run(exchange()) == b""
