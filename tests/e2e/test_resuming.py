"""A transcript is the same, word for word, however often the connection or the server is lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.checkpoint import Checkpoint
from engine.vad import VadState
from gateway.audio import mulaw_table
from gateway.client import Event, Session, connect
from gateway.settings import Settings
from tests.chaos import Chaos, chaos
from tests.conftest import Server, serving
from tests.gateway.dialing import dial, hear, hear_all
from tests.gateway.test_server import gateway
from tests.speech import g711, speech_at

pytestmark = pytest.mark.timeout(60)

MODEL = "tests.engine.models.doubles:DigestModel"
RATE = 16_000
SPEECH = speech_at("two_cities.wav", RATE).tobytes()
SPEECH_BY_TELEPHONE = g711(speech_at("two_cities.wav", 8000)[: 8000 * 4], mulaw_table())
CHECKPOINT = Checkpoint(VadState().tobytes(), at=80_000, start=80_000, segments=4).encode()
FINALIZED_AT = (7, 19, 33)
"""Seconds."""
FRAME = RATE // 5
"""Bytes of 100 ms."""


def quick(**settings: Any) -> Any:
    return serving(Settings(port=0, runner="thread", model=MODEL, **settings))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with quick() as running:
        yield running


@pytest.fixture(scope="module")
def forgetful() -> Iterator[Server]:
    """It keeps no session: each new connection is as one to another process."""
    with quick(resume_window_s=0) as running:
        yield running


async def speak(session: Session, audio: bytes, pause_s: float = 0.002) -> None:
    """Sends it all, faster than it was spoken, and some ends of segments."""
    for at in range(0, len(audio), FRAME):
        if at // (2 * RATE) in FINALIZED_AT and at % (2 * RATE) == 0:
            await session.finalize(f"at {at}")
        await session.send(audio[at : at + FRAME])
        await asyncio.sleep(pause_s)
    await session.stop()


async def transcript(url: str, audio: bytes = SPEECH, **options: Any) -> list[Event]:
    """All events of a session in which ``audio`` is spoken."""
    async with asyncio.timeout(40), connect(url, **options) as session:
        speaking = asyncio.create_task(speak(session, audio))
        events = [event async for event in session]
        await speaking
    return events


def finals(events: list[Event]) -> list[Event]:
    """What must not differ."""
    fields = ("segment", "text", "start_ms", "end_ms", "reason", "id", "revised")
    return [{n: e.get(n) for n in fields} for e in events if e["type"] == "final"]


def codes(events: list[Event]) -> set[str]:
    return {event["code"] for event in events if event["type"] in ("error", "warning")}


@pytest.fixture(scope="module")
def undisturbed(server: Server) -> list[Event]:
    events = asyncio.run(transcript(server.ws))
    assert len(finals(events)) > 8
    assert not codes(events)
    return finals(events)


def found_nothing(server: Server) -> float:
    return server.metric("scribewire_sessions_resumed_total", found="nothing")


def replaced(server: Server) -> float:
    """Connections that a newer one took the place of, before it was known that they were lost."""
    return server.metric("scribewire_client_errors_total", code="replaced")


async def cut_now_and_then(network: Chaos, most_s: float) -> None:
    while True:
        await asyncio.sleep(network.random.uniform(0.01, most_s))
        network.cut()


class TestTheConnectionIsLost:
    @pytest.mark.parametrize("seed", range(3))
    async def test_at_random_bytes(
        self, server: Server, undisturbed: list[Event], seed: int
    ) -> None:
        """In handshakes, in messages, between them, in either direction."""
        before = found_nothing(server)
        async with chaos(server.ws, seed=seed, cut_after=(300, 200_000)) as network:
            events = await transcript(network.url)

        assert network.cuts >= 5
        assert finals(events) == undisturbed
        assert not codes(events)
        # A session is over once `done` is sent; if just that is cut off, its end is said again.
        assert found_nothing(server) - before <= 1

    async def test_a_hundred_times(self, server: Server, undisturbed: list[Event]) -> None:
        async with chaos(server.ws, seed=100, cut_after=(5_000, 25_000)) as network:
            events = await transcript(network.url)

        assert network.cuts >= 100
        assert finals(events) == undisturbed
        assert not codes(events)

    async def test_byte_by_byte_with_jitter(self, server: Server) -> None:
        audio = SPEECH[: 2 * RATE * 6]
        clean = await transcript(server.ws, audio)
        async with chaos(
            server.ws, seed=7, cut_after=(50_000, 150_000), jitter_s=0.005, piece=1
        ) as network:
            events = await transcript(network.url, audio, format="msgpack")

        assert network.cuts
        assert finals(events) == finals(clean)

    async def test_through_a_thin_and_distant_line(self, server: Server) -> None:
        """A telephone's bytes over 64 kbit/s, 0.2 s away, lost every other second."""
        options = {"encoding": "mulaw", "sample_rate": 8000}
        clean = await transcript(server.ws, SPEECH_BY_TELEPHONE, **options)
        async with chaos(
            server.ws, seed=3, delay_s=0.2, bytes_per_s=8000, cut_after=(12_000, 16_000)
        ) as network:
            events = await transcript(network.url, SPEECH_BY_TELEPHONE, **options)

        assert network.cuts >= 2
        assert finals(events) == finals(clean)

    async def test_it_stalls_and_a_new_one_takes_its_place(self, server: Server) -> None:
        """A dead connection that nobody ended: two sockets for one session, the newer wins."""
        audio = SPEECH[: 2 * RATE * 6]
        clean = await transcript(server.ws, audio)
        before = replaced(server)
        async with chaos(server.ws) as network, connect(network.url) as session:
            speaking = asyncio.create_task(speak(session, audio, pause_s=0.01))
            await asyncio.sleep(0.2)
            network.desert()
            events = [event async for event in session]
            await speaking

        assert finals(events) == finals(clean)
        assert replaced(server) - before == 1


class TestTheSessionIsLost:
    @pytest.mark.parametrize("seed", range(3))
    async def test_and_another_process_goes_on(
        self, forgetful: Server, undisturbed: list[Event], seed: int
    ) -> None:
        async with chaos(forgetful.ws, seed=seed) as network:
            cutting = asyncio.create_task(cut_now_and_then(network, 0.4))
            events = await transcript(network.url)
            cutting.cancel()

        assert network.cuts >= 2
        assert finals(events) == undisturbed
        assert not codes(events)

    @pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
    async def test_at_the_clients_own_rate(self, forgetful: Server, rate: int) -> None:
        """What is resampled anew is the same speech, cut at the same places."""
        audio = speech_at("two_cities.wav", rate)[: rate * 12].tobytes()
        clean = await transcript(forgetful.ws, audio, sample_rate=rate)
        async with chaos(forgetful.ws, seed=rate) as network:
            cutting = asyncio.create_task(cut_now_and_then(network, 0.5))
            events = await transcript(network.url, audio, sample_rate=rate)
            cutting.cancel()

        assert network.cuts
        for final, expected in zip(finals(events), finals(clean), strict=True):
            assert final["segment"] == expected["segment"]
            assert final["start_ms"] == pytest.approx(expected["start_ms"], abs=1)
            assert final["end_ms"] == pytest.approx(expected["end_ms"], abs=1)

    async def test_kill_9_of_the_gateway(self, tmp_path: Path, undisturbed: list[Event]) -> None:
        """The client reconnects to a fresh process, with its checkpoint and unconfirmed audio."""
        arguments = ("--model", MODEL, "--runner", "thread")
        async with (
            gateway(tmp_path / "first", *arguments) as first,
            gateway(tmp_path / "second", *arguments) as second,
            chaos(first.server.ws) as network,
            connect(network.url) as session,
        ):
            speaking = asyncio.create_task(speak(session, SPEECH, pause_s=0.004))
            events = []
            async for event in session:
                events.append(event)
                if len(finals(events)) == 3 and first.process.returncode is None:
                    network.target = second.server.ws
                    first.process.kill()
                    await first.ended()
            await speaking

        assert finals(events) == undisturbed
        assert not codes(events)
        assert [e["resumed"] for e in events if e["type"] == "ready"] == [False]


async def test_what_nobody_has_any_more_is_said(forgetful: Server) -> None:
    """P8: an `audio_gap` with its bounds, never a partial recovery passed off as whole."""
    async with dial(forgetful) as socket:
        ready = await hear(socket)
    point = {
        "session": ready["session"], "resume": ready["resume"], "epoch": ready["epoch"],
        "last_segment": 4, "from_sample": 160_000, "checkpoint": CHECKPOINT,
    }  # fmt: skip
    async with dial(forgetful, urlencode(point)) as socket:
        again, gap = await hear(socket), await hear(socket)
        await socket.send('{"type": "stop"}')
        done = (await hear_all(socket))[-1]

    assert (again["session"], again["resumed"]) == (ready["session"], False)
    assert again["epoch"] != ready["epoch"]
    assert again["next_sample"] == 160_000
    assert (gap["code"], gap["from_ms"], gap["to_ms"]) == ("audio_gap", 5000, 10_000)
    assert (done["segments"], done["duration_ms"]) == (4, 10_000)
