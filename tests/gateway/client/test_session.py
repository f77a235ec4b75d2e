"""The session against a scripted server: what it sends, what it yields, and that it ends."""

import asyncio
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.client import Event, Session, SessionError, connect
from gateway.client.session import MAX_UNREAD_EVENTS
from gateway.client.wire import Format
from tests.gateway.client.peer import Peer, peer
from tests.waiting import until


async def said(session: Session) -> list[Event]:
    return [event async for event in session]


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_everything_a_client_can_say_arrives(format: Format) -> None:
    heard = []

    async def script(server: Peer) -> None:
        await server.ready()
        heard.extend(await server.hear_all())
        await server.say("pong", id="p")
        await server.done()

    async with peer(script, format=format) as url, connect(url, format=format) as session:
        assert session.ready["model"] == "scripted"
        await session.configure(language="de", partials=False)
        await session.send(b"\x01\x02")
        await session.finalize()
        await session.finalize("f")
        await session.ping("p")
        await session.stop()
        events = await said(session)

    assert heard == [
        {"type": "configure", "language": "de", "partials": False},
        {"type": "audio", "pcm": b"\x01\x02"},
        {"type": "finalize"},
        {"type": "finalize", "id": "f"},
        {"type": "ping", "id": "p"},
        {"type": "stop"},
    ]
    assert types(events) == ["pong", "done"]


@pytest.mark.parametrize(
    ("suffix", "path"),
    [("", "/v1/stream"), ("/", "/v1/stream"), ("/proxy/asr?a=1", "/proxy/asr?a=1")],
)
@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_any_form_of_address_will_do(scheme: str, suffix: str, path: str) -> None:
    paths = []

    async def script(server: Peer) -> None:
        paths.append(server.path)
        await server.ready()

    async with peer(script) as url, connect(url.replace("ws", scheme, 1) + suffix):
        pass

    assert paths == [path]


async def test_options_become_the_query_and_the_key_a_header() -> None:
    seen = []

    async def script(server: Peer) -> None:
        assert server.socket.request is not None
        seen.append((server.path, server.socket.request.headers.get("Authorization")))
        await server.ready()

    options: dict[str, Any] = {
        "language": None,
        "context": "Müller & Söhne",
        "partials": False,
        "chunk_ms": 500,
    }
    async with (
        peer(script, format="msgpack") as url,
        connect(url, format="msgpack", api_key="k3y", **options),
    ):
        pass

    path, authorization = seen[0]
    assert parse_qs(urlsplit(path).query) == {
        "format": ["msgpack"],
        "context": ["Müller & Söhne"],
        "partials": ["false"],
        "chunk_ms": ["500"],
    }
    assert authorization == "Bearer k3y"


async def test_a_context_too_long_for_an_address_goes_into_a_message() -> None:
    heard: list[Any] = []

    async def script(server: Peer) -> None:
        heard.append(server.path)
        await server.ready()
        heard.append(await server.hear())

    async with peer(script) as url, connect(url, context="字" * 2000, language="zh") as session:
        await session.wait_confirmed(1)

    assert heard == [
        "/v1/stream?language=zh",
        {"type": "configure", "context": "字" * 2000},
    ]


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host", "ws://", "ws://host:port", "ws://[::1", "ws://h:0"]
)
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an address like ws://HOST:PORT"):
        async with connect(url):
            pass


async def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="json or msgpack"):
        async with connect("ws://localhost", format="xml"):  # type: ignore[arg-type]
            pass


async def test_iterating_ends_after_done_and_stays_ended() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.final(1, "Hello")
        await server.done()

    async with peer(script) as url, connect(url) as session:
        assert types(await said(session)) == ["final", "done"]
        assert await said(session) == []
        with pytest.raises(SessionError) as caught:
            await session.send(b"")

    assert caught.value.code == "closed"


async def test_an_error_that_the_session_survives_is_just_an_event() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.say("error", code="invalid_audio", message="Odd.", retryable=False)
        await server.done()

    async with peer(script) as url, connect(url) as session:
        assert types(await said(session)) == ["error", "done"]


async def test_sending_after_the_end_says_why_it_ended() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.say("error", code="idle_timeout", message="Idle.", retryable=False)
        await server.socket.close(4504)

    async with peer(script) as url, connect(url) as session:
        with pytest.raises(SessionError):
            await said(session)
        with pytest.raises(SessionError) as caught:
            await session.stop()

    assert (caught.value.code, caught.value.close_code) == ("idle_timeout", 4504)


async def test_unknown_events_and_fields_are_passed_on() -> None:
    async def script(server: Peer) -> None:
        await server.ready(news=1)
        await server.say("mood", value="fine")
        await server.done()

    async with peer(script) as url, connect(url) as session:
        assert session.ready["news"] == 1
        assert types(await said(session)) == ["mood", "done"]


async def test_confirmed_samples_only_grow_and_are_waited_for() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        for samples in (100, 50, 200):
            await server.say("confirmed", samples=samples)
        await server.hear()
        await server.done()

    async with peer(script) as url, connect(url) as session:
        await session.wait_confirmed(200)
        assert session.confirmed_samples == 200
        waiting = asyncio.create_task(session.wait_confirmed(201))
        await asyncio.sleep(0)
        assert not waiting.done()
        await session.stop()
        await waiting  # the end of the connection ends all waiting


async def test_events_that_nobody_reads_are_bounded_and_do_not_hold_up_the_close() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        with suppress(ConnectionClosed):
            for number in range(10 * MAX_UNREAD_EVENTS):
                await server.say("pong", id="x" * 1000, number=number)

    async with peer(script) as url, connect(url) as session:
        await until(session._events.full)
        assert session._events.qsize() == MAX_UNREAD_EVENTS
        started = time.monotonic()
        await session.close()
        assert len(await said(session)) < MAX_UNREAD_EVENTS

    assert time.monotonic() - started < 2


async def test_sending_does_not_wait_for_iterating() -> None:
    heard = asyncio.Event()

    async def script(server: Peer) -> None:
        await server.ready()
        for _ in range(50):
            await server.hear()
            await server.say("pong", id="x")
        heard.set()
        await server.done()

    async with peer(script) as url, connect(url) as session:
        for _ in range(50):
            await session.send(bytes(3200))
        await heard.wait()
        assert len(await said(session)) == 51


async def test_closing_ends_iterating_elsewhere() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.socket.wait_closed()

    async with peer(script) as url, connect(url) as session:
        reading = asyncio.create_task(said(session))
        await asyncio.sleep(0.01)
        await session.close()
        await session.close()

        assert await reading == []


async def test_no_task_outlives_the_session() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.socket.wait_closed()

    async with peer(script) as url:
        before = len(asyncio.all_tasks())
        async with connect(url):
            assert len(asyncio.all_tasks()) > before
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def stop_amid_speech(server: Peer, confirmed: int) -> None:
    """A server that stops cuts the second segment."""
    await server.ready(resume="secret")
    assert (await server.hear())["type"] == "audio"
    await server.say("error", code="shutting_down", message="Restarting.", retryable=True)
    await server.final(1, "a whole segment")
    await server.say("final", segment=2, text="half a seg", reason="drain")
    await server.say("confirmed", samples=confirmed, finalizes=0, checkpoint="")
    await server.done()
    await server.socket.close(1012)


async def test_the_last_words_of_a_server_that_stops_come_if_nobody_goes_on() -> None:
    """They are withheld while another server may say the whole segment; see `Track.withholds`."""
    connections = 0

    async def script(server: Peer) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            server.vanish()
            return
        await stop_amid_speech(server, confirmed=1600)

    async with peer(script) as url, connect(url, reconnect_s=0.3) as session:
        await session.send(bytes(3200))
        async with asyncio.timeout(10):
            events = [await anext(session) for _ in range(4)]
            with pytest.raises(SessionError):
                await anext(session)

    assert connections > 1
    assert types(events) == ["error", "final", "final", "confirmed"]
    assert session.confirmed_samples == 1600


async def test_without_coming_back_the_end_of_a_server_that_stops_is_the_sessions() -> None:
    async def script(server: Peer) -> None:
        await stop_amid_speech(server, confirmed=1536)

    async with peer(script) as url, connect(url, reconnect_s=0) as session:
        await session.send(bytes(3200))
        async with asyncio.timeout(10):
            events = [event async for event in session]

    assert types(events) == ["error", "final", "final", "confirmed", "done"]
