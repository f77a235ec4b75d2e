"""How a session fails: every way a server can refuse, break off or talk nonsense, as one error."""

import asyncio
import json

import pytest

from gateway.client import Event, SessionError, connect
from gateway.client.wire import Format
from tests.gateway.client.peer import Peer, peer, refusing_peer


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


async def failure(url: str) -> tuple[SessionError, list[Event]]:
    """How the session at ``url`` fails, and what it yielded before."""
    events: list[Event] = []

    async def collect() -> None:
        async with connect(url) as session:
            async for event in session:
                events.append(event)

    with pytest.raises(SessionError) as caught:
        await collect()
    return caught.value, events


async def test_an_error_before_the_close_is_yielded_then_raised() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.say(
            "error", code="overloaded", message="Busy.", retryable=True, retry_after_ms=1500
        )
        await server.socket.close(4429)

    async with peer(script) as url:
        error, events = await failure(url)

    assert types(events) == ["error"]
    assert (error.code, error.message, error.retryable) == ("overloaded", "Busy.", True)
    assert (error.close_code, error.retry_after_ms) == (4429, 1500)
    assert str(error) == "Busy. (overloaded)"


async def test_an_error_that_the_session_survived_is_not_why_it_ended_later() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.say("error", code="invalid_audio", message="Odd.", retryable=False)
        await server.say("pong", id="1")
        server.vanish()

    async with peer(script) as url:
        error, events = await failure(url)

    assert types(events) == ["error", "pong"]
    assert (error.code, error.retryable, error.close_code) == ("connection_lost", True, None)


@pytest.mark.parametrize(
    ("close_code", "retryable"),
    [(1000, False), (1011, True), (1012, True), (4408, True), (4499, True), (4500, False)],
)
async def test_a_close_without_a_word_tells_whether_to_reconnect(
    close_code: int, retryable: bool
) -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.socket.close(close_code)

    async with peer(script) as url:
        error, _ = await failure(url)

    assert error.code == "connection_lost"
    assert (error.close_code, error.retryable) == (close_code, retryable)


async def test_a_refused_handshake_says_what_the_server_said() -> None:
    body = {"type": "error", "code": "too_many_sessions", "message": "Full.", "retryable": True}

    async with refusing_peer(429, json.dumps({**body, "retry_after_ms": 700}).encode()) as url:
        error, events = await failure(url)

    assert events == []
    assert (error.code, error.message, error.retryable) == ("too_many_sessions", "Full.", True)
    assert (error.http_status, error.retry_after_ms, error.close_code) == (429, 700, None)


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [(404, b"<html>", False), (503, b"[]", True), (502, b"\xff", True), (401, b"[" * 9999, False)],
)
async def test_a_refusal_by_something_else_is_named_by_its_status(
    status: int, body: bytes, retryable: bool
) -> None:
    async with refusing_peer(status, body, {"Retry-After": "2"}) as url:
        error, _ = await failure(url)

    assert (error.code, error.http_status, error.retryable) == ("refused", status, retryable)
    assert str(status) in error.message
    assert error.retry_after_ms == 2000


async def test_a_date_is_no_time_to_wait() -> None:
    async with refusing_peer(503, b"", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}) as url:
        error, _ = await failure(url)

    assert error.retry_after_ms is None


async def test_nobody_there_is_a_sentence_without_the_query(unused_tcp_port: int) -> None:
    with pytest.raises(SessionError) as caught:
        async with connect(f"ws://127.0.0.1:{unused_tcp_port}", context="Secret Name"):
            pass

    assert (caught.value.code, caught.value.retryable) == ("unreachable", True)
    assert f"ws://127.0.0.1:{unused_tcp_port}/v1/stream:" in caught.value.message
    assert "Secret" not in caught.value.message


async def test_a_server_of_another_protocol_is_told_apart() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        error, _ = await failure(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert (error.code, error.retryable) == ("invalid_message", False)


GARBAGE = ["", "hello", "[1]", "3", "{}", '{"type": 3}', b"\x00\x01", "[" * 100_000]
PACKED_GARBAGE = [b"", b"\xc1", b"\x93\x01", b"\x80", b"\x81\xa4type\x03", b"\x91" * 9999, "text"]


@pytest.mark.parametrize(
    ("format", "garbage"),
    [
        *(("json", each) for each in GARBAGE),
        *(("msgpack", each) for each in PACKED_GARBAGE),
    ],
    ids=lambda value: repr(value[:12]),
)
async def test_garbage_from_the_server_ends_the_session(
    format: Format, garbage: str | bytes
) -> None:
    closed_by_client = asyncio.Event()

    async def script(server: Peer) -> None:
        await server.ready()
        await server.socket.send(garbage)
        await server.socket.wait_closed()
        assert server.socket.close_code == 1002
        closed_by_client.set()

    async with peer(script, format=format) as url, connect(url, format=format) as session:
        with pytest.raises(SessionError, match="does not speak") as caught:
            await anext(session)
        with pytest.raises(SessionError, match="does not speak"):
            await session.ping("1")
        await session.close()
        await closed_by_client.wait()

    assert (caught.value.code, caught.value.retryable) == ("invalid_message", False)


async def test_a_frame_beyond_all_bounds_ends_the_session() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.socket.send("x" * (2**20 + 1))

    async with peer(script) as url:
        error, _ = await failure(url)

    assert error.code == "invalid_message"


async def test_a_server_that_does_not_begin_with_ready_is_none() -> None:
    async with peer(lambda server: server.final(1, "Hello")) as url:
        error, events = await failure(url)

    assert error.code == "invalid_message"
    assert events == []


async def test_an_error_instead_of_ready_is_the_reason() -> None:
    async def script(server: Peer) -> None:
        await server.say("error", code="unauthorized", message="Key?", retryable=False)
        await server.socket.close(4501)

    async with peer(script) as url:
        error, _ = await failure(url)

    assert (error.code, error.close_code) == ("unauthorized", 4501)


async def test_a_server_that_never_says_ready_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.client.session.READY_TIMEOUT_S", 0.05)

    async with peer(lambda server: server.socket.wait_closed()) as url:
        error, _ = await failure(url)

    assert (error.code, error.retryable) == ("stalled", True)
