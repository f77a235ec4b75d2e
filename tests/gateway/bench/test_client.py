"""The paced client against a scripted server."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.bench.client import Client, RefusedError, SessionLog, audio_frames
from gateway.bench.pacer import Pacer
from tests.gateway.client.peer import Peer, peer
from tests.gateway.test_tls import certificate, trusting

FRAMES = audio_frames([bytes([i]) * 320 for i in range(3)])


async def opened(
    url: str, count: int, api_key: str | None = None, *, frames: Sequence[bytes] = FRAMES,
    tls: ssl.SSLContext | None = None,
) -> Client:  # fmt: skip
    address = urlsplit(url)
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Client(f"{url}/v1/stream", frames, count, SessionLog(0, frame_ms=10), api_key),
        address.hostname or "",
        address.port or 0,
        ssl=tls,
    )
    await client.ready
    return client


async def played(script: Callable[[Peer], Awaitable[None]], count: int = 7) -> SessionLog:
    """What is logged of a session with a server that follows the script."""
    async with peer(script) as url:
        client = await opened(url, count)
        client.begin(time.monotonic() + 0.05, Pacer())
        async with asyncio.timeout(10):
            await client.over
        return client.log


@pytest.mark.parametrize("key", ["swk_abc", None])
async def test_it_shows_its_key_if_it_has_one(key: str | None) -> None:
    shown = []

    async def script(server: Peer) -> None:
        assert server.socket.request is not None
        shown.append(server.socket.request.headers.get("Authorization"))
        await server.ready()
        await server.until_closed()

    async with peer(script) as url:
        client = await opened(url, 1, key)
        client.give_up("seen")
        async with asyncio.timeout(10):
            await client.over

    assert shown == [key and f"Bearer {key}"]


async def test_frames_repeat_come_by_the_clock_and_end_with_stop() -> None:
    heard = []

    async def script(server: Peer) -> None:
        await server.ready()
        heard.extend(await server.hear_all())
        await server.done()

    log = await played(script)

    assert [message["type"] for message in heard] == ["ping", *["audio"] * 7, "stop"]
    assert [message["pcm"][0] for message in heard[1:-1]] == [0, 1, 2, 0, 1, 2, 0]
    assert len(log.sent) == 7
    assert all(sent >= log.due(i) for i, sent in enumerate(log.sent))
    assert [event["type"] for _, event in log.events] == ["ready", "done"]
    assert (log.failure, log.missing, log.close_code) == ("", 0, 1000)


async def test_a_late_frame_delays_no_other() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.hear_all()
        await server.done()

    async with peer(script) as url:
        client = await opened(url, 20)
        client.begin(time.monotonic(), Pacer())
        time.sleep(0.1)  # noqa: ASYNC251  (the event loop is held up on purpose)
        await client.over

    late = [sent - client.log.due(i) for i, sent in enumerate(client.log.sent)]
    assert max(late) > 0.05
    assert late[-1] < 0.05


async def test_a_session_that_is_closed_before_it_is_done_has_failed() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.socket.close(4503)

    log = await played(script, count=100)

    assert log.failure == "closed with 4503 before it was done"
    assert log.close_code == 4503


async def test_a_connection_that_breaks_is_not_waited_for() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        server.vanish()

    log = await played(script, count=100)

    assert log.failure == "closed with 1006 before it was done"


async def test_a_session_that_never_ends_is_given_up() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.until_closed()

    async with peer(script) as url:
        client = await opened(url, 1)
        client.begin(time.monotonic(), Pacer())
        await asyncio.sleep(0.1)
        client.give_up("not done in time")
        await client.over

    assert client.log.failure == "not done in time"


async def test_a_server_that_says_goodbye_at_once_is_a_refusal() -> None:
    async def script(server: Peer) -> None:
        await server.socket.close(4429)

    with pytest.raises(RefusedError, match="closed with 4429"):
        await played(script)


async def test_what_the_kernel_has_no_room_for_comes_in_its_place() -> None:
    heard = []

    async def script(server: Peer) -> None:
        await server.ready()
        server.socket.transport.pause_reading()
        await asyncio.sleep(0.5)
        server.socket.transport.resume_reading()
        heard.extend(await server.hear_all())
        await server.done()

    async with peer(script) as url:
        frames = audio_frames([bytes([i]) * 800_000 for i in range(20)])
        client = await opened(url, 20, frames=frames)
        client.begin(time.monotonic(), Pacer())
        async with asyncio.timeout(20):
            await client.over

    audio = [message["pcm"] for message in heard if message["type"] == "audio"]
    assert audio == [bytes([i]) * 800_000 for i in range(20)]
    assert client.log.failure == ""


async def test_a_session_over_tls_is_paced_as_any(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    heard = []

    async def script(server: Peer) -> None:
        await server.ready()
        heard.extend(await server.hear_all())
        await server.done()

    async with peer(script, tls=context) as url:
        client = await opened(url, 7, tls=trusting(cert))
        client.begin(time.monotonic(), Pacer())
        async with asyncio.timeout(10):
            await client.over

    assert [message["pcm"][0] for message in heard[1:-1]] == [0, 1, 2, 0, 1, 2, 0]
    assert client.log.failure == ""
