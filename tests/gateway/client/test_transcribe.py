"""Whole recordings against a scripted server: pace, flow control, and what is kept."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gateway.captions import Caption
from gateway.client import Event, Session, SessionError, Transcript, connect, transcribe_pcm
from tests.gateway.client.peer import Peer, Script, peer

PCM_16K_BYTES = 32_000
LIMITS = {"max_unconfirmed_ms": 2000}


def tone(seconds: float, bytes_per_second: int = PCM_16K_BYTES) -> bytes:
    """Bytes that tell their place, so that a lost or doubled frame is seen."""
    return bytes(index % 251 for index in range(int(seconds * bytes_per_second)))


def joined(heard: list[dict[str, Any]]) -> bytes:
    return b"".join(message["pcm"] for message in heard if message["type"] == "audio")


@asynccontextmanager
async def session_with(script: Script) -> AsyncIterator[Session]:
    async with peer(script) as url, connect(url) as session:
        yield session


async def outcome(script: Script, pcm: bytes, **options: Any) -> Transcript:
    async with session_with(script) as session:
        return await transcribe_pcm(session, pcm, bytes_per_second=PCM_16K_BYTES, **options)


async def test_all_audio_arrives_and_all_finals_come_back() -> None:
    heard: list[dict[str, Any]] = []
    events: list[Event] = []

    async def script(server: Peer) -> None:
        await server.ready()
        heard.extend(await server.hear_all())
        await server.say("partial", segment=1, stable="Hel", unstable="lo")
        await server.say("warning", code="clipped", message="Too loud.")
        await server.final(1, "Hello", 1000)
        await server.final(2, " world.", 2000)
        await server.done()

    transcript = await outcome(script, tone(0.55), on_event=events.append)

    assert joined(heard) == tone(0.55)
    assert [len(each["pcm"]) for each in heard[:-1]] == [3200] * 5 + [1600]
    assert transcript.text == "Hello world."
    assert transcript.captions == [Caption("Hello", 0, 1000), Caption(" world.", 1000, 2000)]
    assert [each["segment"] for each in transcript.finals] == [1, 2]
    assert [each["code"] for each in transcript.notices] == ["clipped"]
    assert transcript.done["type"] == "done"
    assert [each["type"] for each in events] == ["partial", "warning", "final", "final", "done"]


async def test_no_audio_is_just_a_stop() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        assert await server.hear() == {"type": "stop"}
        await server.done()

    assert (await outcome(script, b"")).text == ""


@pytest.mark.parametrize(("rate", "sample_bytes"), [(16_000, 2), (8000, 1), (44_100, 4)])
async def test_never_more_is_unconfirmed_than_the_server_allows(
    rate: int, sample_bytes: int
) -> None:
    pcm = tone(8, rate * sample_bytes)
    heard = bytearray()
    most_unconfirmed = 0

    async def script(server: Peer) -> None:
        nonlocal most_unconfirmed
        await server.ready(sample_rate=rate, limits=LIMITS)
        confirmed = 0
        while (message := await server.hear())["type"] == "audio":
            heard.extend(message["pcm"])
            samples = len(heard) // sample_bytes
            most_unconfirmed = max(most_unconfirmed, samples - confirmed)
            # As segments do: nothing for a while, then a second and a half at once.
            if samples - confirmed >= 1.5 * rate:
                confirmed = samples
                await server.say("confirmed", samples=confirmed)
        await server.done()

    async with session_with(script) as session:
        await transcribe_pcm(session, pcm, bytes_per_second=rate * sample_bytes)

    assert bytes(heard) == pcm
    assert 1.5 * rate <= most_unconfirmed <= 2.0 * rate


async def test_the_window_is_used_up_to_the_margin() -> None:
    heard: list[dict[str, Any]] = []

    async def script(server: Peer) -> None:
        await server.ready(limits=LIMITS)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while True:
                    heard.append(await server.hear())
        await server.say("confirmed", samples=10 * 16_000)
        await server.hear_all()
        await server.done()

    await outcome(script, tone(5))

    assert len(joined(heard)) == 1.8 * PCM_16K_BYTES


async def test_a_tiny_window_still_lets_one_frame_through() -> None:
    async def script(server: Peer) -> None:
        await server.ready(limits={"max_unconfirmed_ms": 1})
        samples = 0
        while (message := await server.hear())["type"] == "audio":
            samples += len(message["pcm"]) // 2
            await server.say("confirmed", samples=samples)
        await server.done()

    await outcome(script, tone(0.5))


@pytest.mark.parametrize("limits", [None, {}, {"max_unconfirmed_ms": "many"}])
async def test_a_server_without_a_limit_gets_the_protocols(limits: object) -> None:
    heard: list[dict[str, Any]] = []

    async def script(server: Peer) -> None:
        await server.ready(limits=limits)
        for _ in range(295):
            heard.append(await server.hear())
        await server.say("confirmed", samples=31 * 16_000)
        heard.extend(await server.hear_all())
        await server.done()

    await outcome(script, bytes(31 * PCM_16K_BYTES))

    assert len(joined(heard)) == 31 * PCM_16K_BYTES


async def test_real_time_is_kept_without_drift() -> None:
    arrived: list[float] = []

    async def script(server: Peer) -> None:
        await server.ready()
        while (await server.hear())["type"] == "audio":
            arrived.append(time.monotonic())
            if len(arrived) == 3:
                await server.say("pong", id="x")
                await server.say("partial", segment=1, stable="", unstable="")
        await server.done()

    def hiccup(event: Event) -> None:
        if event["type"] == "partial":
            time.sleep(0.25)

    started = time.monotonic()
    await outcome(script, tone(1.0), realtime=True, on_event=hiccup)

    # A frame is sent when it was spoken, never before; and what was late is caught up with.
    assert all(at - started >= 0.1 * (n + 1) for n, at in enumerate(arrived))
    assert len(arrived) == 10
    assert arrived[-1] - started < 1.2


async def test_a_server_that_falls_silent_is_given_up() -> None:
    async def script(server: Peer) -> None:
        await server.ready(limits=LIMITS)
        await server.until_closed()

    with pytest.raises(SessionError) as caught:
        await outcome(script, tone(5), stall_s=0.1)

    assert (caught.value.code, caught.value.retryable) == ("stalled", True)


async def test_a_server_that_never_says_done_is_given_up() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.hear_all()
        await server.until_closed()

    with pytest.raises(SessionError, match=r"said nothing for 0\.1 s"):
        await outcome(script, tone(0.1), stall_s=0.1)


async def test_a_long_silence_in_real_time_is_no_stall() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.hear_all()
        await server.done()

    assert (await outcome(script, tone(0.5), realtime=True, stall_s=0.1)).done


async def test_a_busy_server_is_waited_for_and_kept_from_thinking_us_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.client.transcribe.KEEPALIVE_S", 0.02)
    events: list[Event] = []

    async def script(server: Peer) -> None:
        await server.ready(limits=LIMITS)
        pings = 0
        while pings < 4:
            if (message := await server.hear())["type"] == "ping":
                pings += 1
                await server.say("pong", id=message["id"])
        await server.say("confirmed", samples=5 * 16_000)
        await server.hear_all()
        await server.done()

    await outcome(script, tone(5), on_event=events.append)

    assert [each["type"] for each in events] == ["confirmed", "done"]


async def test_answered_pings_alone_are_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.transcribe.KEEPALIVE_S", 0.02)

    async def script(server: Peer) -> None:
        await server.ready(limits=LIMITS)
        while True:
            if (message := await server.hear())["type"] == "ping":
                await server.say("pong", id=message["id"])

    with pytest.raises(SessionError, match="said nothing"):
        await outcome(script, tone(5), stall_s=0.1)


async def test_done_before_all_was_sent_is_no_whole_transcript() -> None:
    async def script(server: Peer) -> None:
        await server.ready(limits=LIMITS)
        await server.hear()
        await server.done()
        await server.until_closed()

    with pytest.raises(SessionError) as caught:
        await outcome(script, tone(5), stall_s=0.1)

    assert (caught.value.code, caught.value.retryable) == ("incomplete", True)


async def test_a_failing_session_ends_the_sending_too() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.hear()
        await server.say("error", code="engine_failed", message="Bad.", retryable=False)
        await server.socket.close(4511)

    async with session_with(script) as session:
        before = len(asyncio.all_tasks())
        with pytest.raises(SessionError) as caught:
            await transcribe_pcm(session, tone(60), bytes_per_second=PCM_16K_BYTES, realtime=True)
        assert len(asyncio.all_tasks()) <= before

    assert caught.value.close_code == 4511


@pytest.mark.parametrize(
    "fields", [{"text": None}, {"start_ms": "0"}, {"end_ms": 1.5}, {"text": 7}], ids=str
)
async def test_a_final_that_is_none_is_refused(fields: dict[str, Any]) -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.say("final", **{"text": "x", "start_ms": 0, "end_ms": 1, **fields})
        await server.until_closed()

    with pytest.raises(SessionError) as caught:
        await outcome(script, tone(0.1))

    assert caught.value.code == "invalid_message"


@pytest.mark.parametrize("rate", [None, "16000", 0, -1])
async def test_a_server_that_does_not_know_its_rate_is_refused(rate: object) -> None:
    async def script(server: Peer) -> None:
        await server.ready(sample_rate=rate)
        await server.until_closed()

    with pytest.raises(SessionError) as caught:
        await outcome(script, tone(0.1))

    assert caught.value.code == "invalid_message"


@pytest.mark.parametrize(
    ("length", "bytes_per_second"), [(3, 32_000), (2, 32_001), (2, 100), (2, 0)]
)
async def test_audio_that_does_not_fit_the_session_is_refused(
    length: int, bytes_per_second: int
) -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.until_closed()

    async with session_with(script) as session:
        with pytest.raises(ValueError, match="samples"):
            await transcribe_pcm(session, bytes(length), bytes_per_second=bytes_per_second)
