"""Live audio in containers, over the native protocol and Deepgram's: as browsers record it."""

import asyncio
import json

import numpy as np
import pytest

from gateway.audio import decode_file
from tests.conftest import Server
from tests.e2e.dialogue import Offline, converse
from tests.e2e.test_deepgram import finals, listening, speak, transcript
from tests.e2e.test_transcribing import words
from tests.gateway.dialing import dial, hear_all
from tests.media import recorded
from tests.speech import pcm16, speech

SPEED = 8
"""× the pace of speech."""
BECKETT = decode_file(speech("beckett.wav"))

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # deepgram-sdk's use of `websockets`
]


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the model says of the same speech, uncompressed."""
    return words("".join(final.text for final in Offline().finals(pcm16("beckett.wav")[0]))).split()


@pytest.mark.parametrize(("encoding", "kind"), [("opus", "webm"), ("opus", "ogg"),
                                                ("container", "flac")])  # fmt: skip
async def test_live_captions_of_a_recording(
    server: Server, said: list[str], encoding: str, kind: str
) -> None:
    data = recorded(BECKETT, kind, page_ms=100)
    rate = len(data) * 16_000 // len(BECKETT)

    dialogue = await converse(
        server.ws, data, bytes_per_second=rate, speed=SPEED, query=f"encoding={encoding}"
    )

    heard = words(dialogue.text).split()
    assert heard[:4] == said[:4] == ["ever", "tried", "ever", "failed"]
    assert len(set(heard) ^ set(said)) <= 2
    assert dialogue.retractions() == 0
    assert dialogue.of("done")[0]["duration_ms"] == pytest.approx(len(BECKETT) / 16, abs=20)
    assert dialogue.of("confirmed")[-1]["samples"] == pytest.approx(len(BECKETT), abs=320)
    assert dialogue.close_code == 1000


async def test_confirmed_audio_counts_at_the_clients_own_rate(server: Server) -> None:
    dialogue = await converse(
        server.ws, recorded(BECKETT[:32_000], "ogg"), query="encoding=opus&sample_rate=48000"
    )

    assert dialogue.of("confirmed")[-1]["samples"] == 96_000


async def test_finalize_closes_behind_what_was_sent(server: Server) -> None:
    async with dial(server, "encoding=opus&endpoint_ms=0") as socket:
        await socket.send(recorded(BECKETT[:48_000], "webm", page_ms=100))
        await socket.send('{"type": "finalize", "id": "f"}')
        await socket.send('{"type": "stop"}')
        finals = [event for event in await hear_all(socket) if event["type"] == "final"]

    assert finals[0]["id"] == "f"
    assert finals[0]["end_ms"] > 2000


async def test_what_is_no_recording_ends_the_session_after_its_finals(server: Server) -> None:
    async with dial(server, "encoding=opus") as socket:
        await socket.send(b"garbage" * 1000)
        events = await hear_all(socket)

    assert [e["type"] for e in events] == ["ready", "error", "done"]
    assert events[1]["code"] == "invalid_audio"
    assert events[1]["message"].startswith("The file is not audio")
    assert socket.close_code == 4522


async def test_audio_that_decompresses_to_more_than_is_allowed_ends_the_session(
    server: Server,
) -> None:
    """No more of one message is decoded than may wait for the model."""
    bomb = recorded(np.tile(BECKETT, 8), "ogg")
    async with dial(server, "encoding=opus&endpoint_ms=0", max_size=None) as socket:
        await socket.send(bomb[: 1 << 20])
        events = await hear_all(socket)

    assert events[-1]["code"] == "audio_backlog"
    assert socket.close_code == 4503


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"encoding": None, "sample_rate": None}, "webm"), ({"encoding": "ogg-opus"}, "ogg")],
)
async def test_deepgrams_containers(
    server: Server, said: list[str], options: dict[str, object], kind: str
) -> None:
    data = recorded(BECKETT, kind, page_ms=100)
    async with listening(server, **options) as (connection, messages):
        await speak(connection, data, len(data) * 16_000 // len(BECKETT))
        await connection.send_close_stream()

    heard = " ".join(transcript(each) for each in finals(messages)).split()
    assert heard[:4] == said[:4]
    assert len(set(heard) ^ set(said)) <= 2
    assert messages[-1].duration == pytest.approx(len(BECKETT) / 16_000, abs=0.02)


async def test_leaving_in_the_middle_of_a_recording_ends_its_thread(server: Server) -> None:
    opened = server.metric("scribewire_sessions_opened_total")
    async with dial(server, "encoding=opus") as socket:
        await socket.send(recorded(BECKETT, "webm")[:20_000])
        assert json.loads(await socket.recv())["type"] == "ready"
    async with asyncio.timeout(10):
        while server.metric("scribewire_sessions"):
            await asyncio.sleep(0.02)
    assert server.metric("scribewire_sessions_opened_total") == opened + 1
