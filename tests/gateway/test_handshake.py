"""Clients that never finish their header are not waited for."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import check_alive, dial, hear

WITHIN_S = 0.5
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    settings = Settings(port=0, runner="thread", model=QUICK_MODEL, handshake_timeout_s=WITHIN_S)
    with serving(settings) as running:
        yield running


def given_up(server: Server) -> float:
    return server.metric("scribewire_limits_reached_total", setting="handshake_timeout_s")


async def connection(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(server.ws.rsplit(":", 1)[1]))


async def ended(reader: asyncio.StreamReader) -> float:
    """When the server ended the connection, in seconds from now."""
    began = time.monotonic()
    async with asyncio.timeout(5):
        try:
            while await reader.read(1000):
                pass
        except ConnectionResetError:
            pass
    return time.monotonic() - began


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nX: "]
)
async def test_a_header_that_does_not_end_ends_the_connection(hasty: Server, sent: bytes) -> None:
    before = given_up(hasty)
    reader, writer = await connection(hasty)
    with closing(writer):
        writer.write(sent)

        assert await ended(reader) < WITHIN_S + 1
        assert given_up(hasty) == before + 1


async def test_a_byte_now_and_then_gains_no_time(hasty: Server) -> None:
    reader, writer = await connection(hasty)

    async def drip() -> None:
        for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 100:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    took = await ended(reader)
    dripping.cancel()

    assert took < WITHIN_S + 1
    writer.close()


async def test_nor_does_a_whole_request_before_it(hasty: Server) -> None:
    reader, writer = await connection(hasty)
    writer.write(REQUEST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await reader.readuntil(b'"}')
    writer.write(REQUEST[:20])

    assert await ended(reader) < WITHIN_S + 1
    writer.close()


async def test_a_session_and_a_connection_between_requests_are_not_touched(hasty: Server) -> None:
    reader, writer = await connection(hasty)
    async with dial(hasty) as socket:
        await hear(socket)
        writer.write(REQUEST)
        await reader.readuntil(b'"}')
        await asyncio.sleep(3 * WITHIN_S)

        await check_alive(socket)
        writer.write(REQUEST)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_may_take_longer(hasty: Server) -> None:
    reader, writer = await connection(hasty)
    head = b"POST /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n"
    writer.write(head)
    await asyncio.sleep(2 * WITHIN_S)
    writer.write(b"{}")

    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
