"""`deepgram-sdk`'s live client against the real server."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

from gateway.audio import alaw_table, mulaw_table
from gateway.wire.codec import Keepalive
from gateway.wire.deepgram import DeepgramCodec
from tests.conftest import Server
from tests.gateway.dialing import hear_all
from tests.speech import g711, speech_at

pytestmark = [
    pytest.mark.timeout(120),
    # The package still speaks to an interface of `websockets` that is to go.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

BECKETT = ["ever tried", "ever failed", "no matter", "try again", "fail again"]
SPEED = 8
"""× the pace of speech."""


def plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def vendor(server: Server, kind: Any = AsyncDeepgramClient) -> Any:
    environment = DeepgramClientEnvironment(
        base=server.http, production=server.ws, agent=server.ws, agent_rest=server.http
    )
    return kind(api_key="none", environment=environment)


@asynccontextmanager
async def listening(server: Server, **options: Any) -> AsyncIterator[tuple[Any, list[Any]]]:
    """A connection, and the list that its messages go to; left when the server closes."""
    asked = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16_000, **options}
    messages: list[Any] = []
    async with vendor(server).listen.v1.connect(**asked) as connection:
        connection.on(EventType.MESSAGE, messages.append)
        hearing = asyncio.create_task(connection.start_listening())
        yield connection, messages
        async with asyncio.timeout(30):
            await hearing


async def speak(connection: Any, audio: bytes, bytes_per_second: int) -> None:
    """Sends audio in pieces that part samples."""
    size = bytes_per_second // 10 + 1
    for at in range(0, len(audio), size):
        await connection.send_media(audio[at : at + size])
        await asyncio.sleep(0.1 / SPEED)


def finals(messages: list[Any]) -> list[ListenV1Results]:
    return [m for m in messages if isinstance(m, ListenV1Results) and m.is_final]


def transcript(results: ListenV1Results) -> str:
    return plain(results.channel.alternatives[0].transcript)


ENCODINGS: dict[str, Any] = {
    "linear16": (16_000, 32_000, lambda x: x.tobytes()),
    "linear32": (24_000, 96_000, lambda x: (x / 32_768).astype("<f4").tobytes()),
    "mulaw": (8000, 8000, lambda x: g711(x, mulaw_table())),
    "alaw": (8000, 8000, lambda x: g711(x, alaw_table())),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_ten_seconds_of_speech(server: Server, encoding: str) -> None:
    rate, bytes_per_second, encode = ENCODINGS[encoding]
    audio = encode(speech_at("beckett.wav", rate))

    async with listening(server, encoding=encoding, sample_rate=rate) as (connection, messages):
        await speak(connection, audio, bytes_per_second)
        await connection.send_close_stream()

    *results, metadata = messages
    heard = {transcript(each) for each in finals(results)}
    assert heard >= set(BECKETT) - ({"fail again"} if rate == 8000 else set())
    assert finals(results) == results  # no interims unless asked for
    assert isinstance(metadata, ListenV1Metadata)
    assert metadata.sha256 == hashlib.sha256(audio).hexdigest()
    assert abs(metadata.duration - len(audio) / bytes_per_second) < 0.01
    assert {each.metadata.request_id for each in results} == {metadata.request_id}


async def test_all_that_can_be_asked_for_live(server: Server) -> None:
    audio = speech_at("two_cities.wav", 16_000).tobytes()

    async with listening(
        server, language="en-US", interim_results=True, endpointing=400, utterance_end_ms=1000,
        vad_events=True, punctuate=True, smart_format=True, keyterm=["wisdom", "epoch"],
    ) as (connection, messages):  # fmt: skip
        await speak(connection, audio, 32_000)
        await connection.send_close_stream()

    kinds = [message.type for message in messages]
    assert kinds.count("SpeechStarted") == len(finals(messages))
    assert kinds.count("UtteranceEnd") >= 1
    assert kinds.index("UtteranceEnd") > kinds.index("Results")
    assert len(finals(messages)) < kinds.count("Results")
    said = " ".join(transcript(each) for each in finals(messages))
    assert said.startswith("it was the best of times it was the worst of times")
    assert said.endswith("superlative degree of comparison only")
    assert all(each.speech_final for each in finals(messages))
    for each in finals(messages):
        [alternative] = each.channel.alternatives
        assert alternative.confidence > 0.3
        words = alternative.words
        assert " ".join(word.punctuated_word or "" for word in words) == alternative.transcript
        bounds = [bound for word in words for bound in (word.start, word.end)]
        assert bounds == sorted(bounds)
        assert each.start <= bounds[0]
        assert bounds[-1] <= each.start + each.duration + 0.001


async def test_finalize_flushes_what_was_said(server: Server) -> None:
    audio = speech_at("two_cities.wav", 16_000)[: 16_000 * 4].tobytes()

    async with listening(server, endpointing=False) as (connection, messages):
        await speak(connection, audio, 32_000)
        await connection.send_finalize()
        async with asyncio.timeout(20):
            while not messages:
                await asyncio.sleep(0.02)
        await connection.send_keep_alive()
        await connection.send_close_stream()

    [results, metadata] = messages
    assert (results.is_final, results.from_finalize) == (True, True)
    assert transcript(results).startswith("it was the best of times")
    assert metadata.type == "Metadata"


def test_the_blocking_client(server: Server) -> None:
    audio = speech_at("beckett.wav", 16_000)[: 16_000 * 2].tobytes()
    client = vendor(server, DeepgramClient)
    with client.listen.v1.connect(
        model="nova-3", encoding="linear16", sample_rate=16_000
    ) as connection:
        connection.send_media(audio)
        connection.send_close_stream()
        messages = list(connection)

    assert transcript(messages[0]).startswith("ever tried")
    assert messages[-1].type == "Metadata"


@pytest.mark.parametrize("options", [{"diarize": True}, {"redact": "pci"}, {"encoding": "speex"}])
async def test_what_is_not_available_is_refused_at_the_handshake(
    server: Server, options: dict[str, Any]
) -> None:
    with pytest.raises(ApiError) as refused:
        async with listening(server, **options):
            raise AssertionError("connected")
    assert refused.value.status_code == 400


async def test_a_page_is_told_why_it_is_refused(server: Server) -> None:
    url = f"{server.ws}/v1/listen?diarize=true&encoding=linear16&sample_rate=16000"
    own_page = Origin(server.ws.replace("ws", "http", 1))
    async with connect(
        url, origin=own_page, subprotocols=[Subprotocol("token"), Subprotocol("k")]
    ) as socket:
        assert socket.subprotocol == "token"
        [error] = await hear_all(socket)

    assert error["type"] == "Error"
    assert "diarize is not available" in error["description"]
    assert socket.close_code == 1008


async def test_ten_seconds_of_silence_on_the_line_end_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before is not lost; the timeout is shortened to a second and a half."""
    monkeypatch.setattr(DeepgramCodec, "keepalive", Keepalive(1.5, 1.5))
    url = f"{server.ws}/v1/listen?encoding=linear16&sample_rate=16000"
    async with connect(url) as socket:
        await socket.send(speech_at("beckett.wav", 16_000)[: 16_000 * 2].tobytes())
        for _ in range(4):
            await asyncio.sleep(0.6)
            await socket.send('{"type": "KeepAlive"}')
        events = await hear_all(socket)

    assert [e["type"] for e in events if e["type"] != "Results"] == ["Error", "Metadata"]
    assert "NET-0001" in (socket.close_reason or "")
    assert socket.close_code == 1011
    assert plain(events[0]["channel"]["alternatives"][0]["transcript"]) == "ever tried"


async def test_nothing_at_all_ends_it_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeepgramCodec, "keepalive", Keepalive(0.5, 0.5))
    async with connect(f"{server.ws}/v1/listen?encoding=alaw&sample_rate=8000") as socket:
        [error] = await hear_all(socket)

    assert error["variant"] == "idle_timeout"
    assert socket.close_code == 1011
