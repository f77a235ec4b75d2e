"""What one session survives, what ends it, and what it is told first, over real sockets."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.engine.models.doubles import SlowModel
from tests.gateway.dialing import check_alive, dial, hear, hear_all
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(30)

SPEECH = pcm16("beckett.wav")[0]
FRAME = 3200
"""Bytes of 100 ms."""


class DeliberateModel(SlowModel):
    """Takes its time for a final, so that something can happen meanwhile."""

    def __init__(self) -> None:
        super().__init__(0.5)


DELIBERATE_MODEL = f"{__name__}:{DeliberateModel.__name__}"


def quick(**settings: Any) -> Any:
    """A gateway of its own with these settings; the text is not what is asked for."""
    return serving(Settings(port=0, runner="thread", **{"model": QUICK_MODEL, **settings}))


@pytest.fixture(scope="module")
def short_frames() -> Iterator[Server]:
    with quick(max_frame_bytes=4096) as running:
        yield running


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Types, errors by code, without what may come at any time."""
    named = [e["code"] if e["type"] == "error" else e["type"] for e in events]
    return [each for each in named if each not in ("ready", "partial", "confirmed")]


async def microphone(socket: ClientConnection, frame_s: float = 0.1) -> None:
    """Speaks until cancelled."""
    for at in range(0, len(SPEECH), FRAME):
        await socket.send(SPEECH[at : at + FRAME])
        await asyncio.sleep(frame_s)


class TestBadMessages:
    """None of them ends the session, and each answer names what is wrong."""

    @pytest.mark.parametrize(
        ("message", "code", "id"),
        [
            ("garbage", "invalid_message", None),
            ("[]", "invalid_message", None),
            ('{"type": "dance", "id": 7}', "invalid_message", "7"),
            ('{"type": "configure", "id": "c", "words": true}', "unsupported", "c"),
            ('{"type": "configure", "id": "c", "sample_rate": 1}', "invalid_option", "c"),
            ('{"type": "ping", "id": "%s"}' % ("x" * 65_536), "invalid_message", None),
            (b"\x00", "invalid_audio", None),
            (b"\x00" * 32_001, "invalid_audio", None),
        ],
        ids=["garbage", "list", "type", "unsupported", "option", "long", "byte", "odd"],
    )
    async def test_the_session_goes_on(
        self, server: Server, message: str | bytes, code: str, id: str | None
    ) -> None:
        async with dial(server) as socket:
            await hear(socket)
            await socket.send(message)
            error = await hear(socket)

            assert (error["type"], error["code"], error.get("id")) == ("error", code, id)
            await check_alive(socket)

    async def test_a_text_frame_is_refused_in_msgpack(self, server: Server) -> None:
        async with dial(server, "format=msgpack") as socket:
            await hear(socket)
            await socket.send('{"type": "stop"}')

            assert (await hear(socket))["code"] == "invalid_message"


class TestBrokenFrames:
    """They break the protocol below ours, which has close codes for it (RFC 6455, 7.4.1)."""

    @pytest.mark.parametrize("pieces", [[bytes(4098)], [bytes(2048)] * 3])
    async def test_a_message_over_the_limit_is_1009(
        self, short_frames: Server, pieces: list[bytes]
    ) -> None:
        async with dial(short_frames) as socket:
            await hear(socket)
            await socket.send(pieces)
            assert await hear_all(socket) == []

        assert socket.close_code == 1009

    async def test_also_if_it_comes_in_one_read(self, short_frames: Server) -> None:
        async with dial(short_frames) as socket:
            await hear(socket)
            await socket.send(b"")  # from now on audio is taken past the queue
            await socket.send(bytes(5000))
            assert await hear_all(socket) == []

        assert socket.close_code == 1009

    async def test_a_message_of_just_the_limit_is_taken(self, short_frames: Server) -> None:
        async with dial(short_frames) as socket:
            await hear(socket)
            await socket.send(bytes(4096))
            await check_alive(socket)

    async def test_text_that_is_not_utf_8_is_1007(self, server: Server) -> None:
        async with dial(server) as socket:
            await hear(socket)
            await socket.send(b'{"type": "ping", "id": "\xff"}', text=True)
            assert await hear_all(socket) == []

        assert socket.close_code == 1007


class TestDeadlines:
    async def test_a_connection_that_says_nothing_is_closed(self) -> None:
        with quick(first_message_s=0.2) as server:
            async with dial(server) as socket:
                events = await hear_all(socket)

        assert kinds(events) == ["idle_timeout"]
        assert "No message came" in events[-1]["message"]
        assert socket.close_code == 4504

    async def test_silence_on_the_line_ends_the_session_but_not_before_its_finals(self) -> None:
        with quick(idle_timeout_s=0.5, first_message_s=60) as server:
            async with dial(server, "sample_rate=48000") as socket:
                await socket.send(pcm16("two_cities.wav")[0][: 96_000 * 4])  # amid a sentence
                events = await hear_all(socket)

        assert kinds(events) == [
            "speech_started", "idle_timeout", "speech_ended", "final", "done",
        ]  # fmt: skip
        assert [e["text"] for e in events if e["type"] == "final"] == ["word0 word1 word2"]
        assert events[-1]["duration_ms"] == 4000
        assert socket.close_code == 4504

    async def test_a_ping_is_a_sign_of_life(self) -> None:
        with quick(idle_timeout_s=1.2, first_message_s=1.2) as server:
            async with dial(server) as socket:
                await hear(socket)
                for _ in range(4):
                    await asyncio.sleep(0.6)
                    await check_alive(socket)

    async def test_the_longest_duration_ends_a_session_that_still_speaks(self) -> None:
        """What the client sends until it has heard of it is no mistake of the client's."""
        with quick(max_session_s=0.5, model=DELIBERATE_MODEL) as server:
            async with dial(server) as socket:
                speaking = asyncio.create_task(microphone(socket, 0.01))
                events = await hear_all(socket)
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)

        assert [e["code"] for e in events if e["type"] == "error"] == ["max_duration"]
        assert events[-1]["type"] == "done"
        assert socket.close_code == 4505


class TestTheClientGoesAway:
    @pytest.mark.parametrize(("farewell", "window_s"), [("close", 30.0), ("abort", 0.0)])
    async def test_its_place_is_free_at_once(self, farewell: str, window_s: float) -> None:
        with quick(resume_window_s=window_s) as server:
            async with dial(server) as socket:
                await hear(socket)
                await socket.send(SPEECH[:64_000])
                if farewell == "abort":
                    socket.transport.abort()
            async with asyncio.timeout(5):
                while server.metric("scribewire_sessions"):
                    await asyncio.sleep(0.05)

            assert server.metric("scribewire_sessions_closed_total") == 1
            assert server.get("/readyz").status_code == 200


class TestBacklog:
    async def test_audio_that_comes_too_fast_ends_the_session_with_a_code_of_its_own(self) -> None:
        with quick(max_backlog_ms=1000) as server:
            async with dial(server, "max_segment_ms=5000") as socket:
                await socket.send(SPEECH[: 32 * 9000])
                events = await hear_all(socket)

        assert kinds(events)[-1] == "audio_backlog"
        assert socket.close_code == 4503


class TestSlowReaders:
    async def test_one_that_reads_too_late_learns_why_it_was_closed(self) -> None:
        """Its unread pongs fill the network's buffers, then the outbox."""
        ping = json.dumps({"type": "ping", "id": "x" * 128})
        with quick(outbox_events=16, max_messages_per_s=10**6) as server:
            async with dial(server, max_queue=1) as socket, asyncio.timeout(20):
                while not server.metric("scribewire_client_errors_total", code="slow_consumer"):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            for _ in range(1000):
                                await socket.send(ping)
                events = await hear_all(socket)

        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert (events[-1]["code"], events[-1]["retryable"]) == ("slow_consumer", True)
        assert socket.close_code == 4408

    async def test_one_that_never_reads_is_given_up(self) -> None:
        ping = json.dumps({"type": "ping", "id": "x" * 128})
        with quick(outbox_events=16, max_messages_per_s=10**6, write_timeout_s=0.2) as server:
            async with dial(server, max_queue=1, close_timeout=0.1) as socket, asyncio.timeout(20):
                while not server.metric("scribewire_sessions_closed_total", code="4408"):
                    with contextlib.suppress(TimeoutError, ConnectionClosed):
                        async with asyncio.timeout(0.1):
                            for _ in range(1000):
                                await socket.send(ping)

            assert server.metric("scribewire_sessions") == 0
