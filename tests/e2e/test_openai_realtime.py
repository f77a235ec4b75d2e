"""The `openai` package's realtime client, and Node's `ws`, against the real server."""

import asyncio
import base64
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI, OpenAIError

from gateway.audio import alaw_table, mulaw_table
from gateway.wire.append_only import missing
from tests.conftest import Server
from tests.e2e.node import run_node
from tests.speech import g711, speech_at

pytestmark = pytest.mark.timeout(120)

BECKETT = ["ever tried", "ever failed", "no matter", "try again", "fail again"]
TRANSCRIPTION = {"intent": "transcription"}
SPEED = 8
"""× the pace of speech."""

Event = dict[str, Any]


def plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def vendor(server: Server, kind: Any = AsyncOpenAI) -> Any:
    return kind(api_key="none", base_url=f"{server.http}/v1", websocket_base_url=f"{server.ws}/v1")


class Listener:
    """Hears a connection of the vendor's client; waits for what is to come."""

    def __init__(self, connection: Any) -> None:
        self.events: list[Event] = []
        self._connection = connection

    async def until(self, kind: str, count: int = 1) -> Event:
        """The ``count``-th event whose type ends so; all events up to it are kept."""
        async with asyncio.timeout(30):
            while len(self.of(kind)) < count:
                data = await self._connection.recv_bytes()
                self._connection.parse_event(data)
                self.events.append(json.loads(data))
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"].endswith(kind)]

    @property
    def deltas(self) -> dict[str, str]:
        """By item."""
        result: dict[str, str] = {}
        for event in self.of(".delta"):
            result[event["item_id"]] = result.get(event["item_id"], "") + event["delta"]
        return result


@asynccontextmanager
async def session(
    server: Server, form: dict[str, Any] | None = None, **audio: Any
) -> AsyncIterator[tuple[Any, Listener]]:
    """A connection that was configured, and its listener."""
    async with (
        vendor(server) as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        heard = Listener(connection)
        await heard.until("session.created")
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": audio}, **(form or {})}
        )
        await heard.until("session.updated")
        yield connection, heard


async def speak(connection: Any, audio: bytes, bytes_per_second: int) -> None:
    """Appends audio, in pieces that part samples."""
    size = bytes_per_second // 10 + 1
    for at in range(0, len(audio), size):
        piece = base64.b64encode(audio[at : at + size]).decode()
        await connection.input_audio_buffer.append(audio=piece)
        await asyncio.sleep(0.1 / SPEED)


def check_order(heard: Listener) -> None:
    """What holds for every conversation."""
    committed = [event["item_id"] for event in heard.of(".committed")]
    previous = [event["previous_item_id"] for event in heard.of(".committed")]
    assert previous == [None, *committed[:-1]]
    assert [event["item_id"] for event in heard.of(".completed")] == committed
    assert [event["item"]["id"] for event in heard.of("item.added")] == committed
    ids = Counter(event["event_id"] for event in heard.events)
    assert set(ids.values()) == {1}
    assert not heard.of("error")


FORMATS = {
    "24 kHz": ({"type": "audio/pcm", "rate": 24_000}, 24_000, None),
    "16 kHz": ({"type": "audio/pcm", "rate": 16_000}, 16_000, None),
    "8 kHz": ({"type": "audio/pcm", "rate": 8000}, 8000, None),
    "µ-law": ({"type": "audio/pcmu"}, 8000, mulaw_table),
    "A-law": ({"type": "audio/pcma"}, 8000, alaw_table),
}


@pytest.mark.parametrize("name", FORMATS)
async def test_five_formats_carry_the_same_speech(server: Server, name: str) -> None:
    format, rate, table = FORMATS[name]
    samples = speech_at("beckett.wav", rate)
    audio = samples.tobytes() if table is None else g711(samples, table())

    async with session(server, format=format) as (connection, heard):
        await speak(connection, audio, rate * (2 if table is None else 1))
        await heard.until(".completed", 6)

    check_order(heard)
    transcripts = [plain(event["transcript"]) for event in heard.of(".completed")]
    assert set(transcripts) >= set(BECKETT) - ({"fail again"} if rate == 8000 else set())
    for kind in ("speech_started", "speech_stopped", "item.done"):
        assert len(heard.of(kind)) == 6
    assert heard.deltas == {e["item_id"]: e["transcript"] for e in heard.of(".completed")}


@pytest.mark.parametrize("by_client", [False, True])
async def test_deltas_only_append_and_make_the_transcript(server: Server, by_client: bool) -> None:
    """44 s. A final may contradict a word; then deltas keep it, and still miss none behind it."""
    audio = speech_at("two_cities.wav", 24_000).tobytes()
    turns: Any = None if by_client else {"type": "server_vad", "silence_duration_ms": 400}

    async with session(server, turn_detection=turns) as (connection, heard):
        await speak(connection, audio, 48_000)
        await connection.input_audio_buffer.commit()
        completed = await heard.until(".completed")
        while not by_client and completed["transcript"]:  # the last item is the silence at the end
            completed = await heard.until(".completed", len(heard.of(".completed")) + 1)

    check_order(heard)
    contradicted = 0
    for event in heard.of(".completed"):
        deltas, transcript = heard.deltas.get(event["item_id"], ""), event["transcript"]
        contradicted += deltas != transcript
        assert not missing(deltas, transcript)
        assert plain(deltas).split()[-3:] == plain(transcript).split()[-3:]
    assert contradicted <= 2
    # How many come before the last depends on how busy the machine is: see `wire/`.
    assert {e["item_id"] for e in heard.of(".delta")} == {
        e["item_id"] for e in heard.of(".completed") if e["transcript"]
    }
    said = plain(" ".join(event["transcript"] for event in heard.of(".completed")))
    assert said.startswith("it was the best of times it was the worst of times")
    assert said.endswith("superlative degree of comparison only")


async def test_clients_that_wait_for_the_final_get_deltas_that_never_differ(
    server: Server,
) -> None:
    audio = speech_at("two_cities.wav", 24_000)[: 24_000 * 20].tobytes()
    transcription = {"delay": "xhigh"}

    async with session(server, transcription=transcription, turn_detection=None) as (
        connection,
        heard,
    ):
        await speak(connection, audio, 48_000)
        await connection.input_audio_buffer.commit()
        [completed] = [await heard.until(".completed")]

    assert heard.deltas == {completed["item_id"]: completed["transcript"]}


async def test_snapshots_show_what_deltas_hold_back(server: Server) -> None:
    audio = speech_at("two_cities.wav", 24_000)[: 24_000 * 9].tobytes()
    form = {"include": ["scribewire.snapshot"]}

    async with session(server, form) as (connection, heard):
        await speak(connection, audio, 48_000)
        await heard.until(".completed")

    snapshots = heard.of("transcription.text")
    assert plain(snapshots[-1]["text"] + snapshots[-1]["stash"]).startswith("it was the best")
    assert any(event["stash"] for event in snapshots)


async def test_cleared_audio_is_not_transcribed(server: Server) -> None:
    audio = speech_at("beckett.wav", 24_000)
    async with session(server, turn_detection=None) as (connection, heard):
        await speak(connection, audio[: 24_000 * 3].tobytes(), 48_000)
        await connection.input_audio_buffer.clear()
        await heard.until(".cleared")
        await speak(connection, audio[24_000 * 3 : 24_000 * 5].tobytes(), 48_000)
        await connection.input_audio_buffer.commit()
        completed = await heard.until(".completed")

    assert plain(completed["transcript"]).startswith("no matter")


async def test_errors_name_the_event_and_leave_the_session_open(server: Server) -> None:
    async with session(server) as (connection, heard):
        await connection.input_audio_buffer.commit(event_id="mine")
        error = (await heard.until("error"))["error"]
        assert (error["event_id"], error["code"]) == ("mine", "input_audio_buffer_commit_empty")

        await connection.response.create(event_id="talk")
        error = (await heard.until("error", 2))["error"]
        assert (error["event_id"], error["code"]) == ("talk", "unsupported")

        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"turn_detection": None}}}
        )
        updated = await heard.until("session.updated", 2)
        assert updated["session"]["audio"]["input"]["turn_detection"] is None


async def test_a_conversation_is_refused_at_the_handshake(server: Server) -> None:
    client = vendor(server)
    with pytest.raises(Exception, match="HTTP 400") as refused:
        async with client.realtime.connect(extra_query={"intent": "conversation"}):
            raise AssertionError("connected")
    assert not isinstance(refused.value, AssertionError | OpenAIError)


@pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")  # theirs
def test_the_blocking_client(server: Server) -> None:
    audio = speech_at("beckett.wav", 24_000)[: 24_000 * 2].tobytes()
    with vendor(server, OpenAI).realtime.connect(extra_query=TRANSCRIPTION) as connection:
        connection.session.update(
            session={"type": "transcription", "audio": {"input": {"turn_detection": None}}}
        )
        connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())
        connection.input_audio_buffer.commit()
        for event in connection:
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert plain(event.transcript).startswith("ever tried")
                return
    raise AssertionError("no transcript")


async def test_the_older_client(server: Server) -> None:
    """``client.beta.realtime``: its header, its update, its events."""
    audio = speech_at("beckett.wav", 8000)[: 8000 * 2]
    async with vendor(server).beta.realtime.connect(
        model="gpt-4o-transcribe", extra_query=TRANSCRIPTION
    ) as connection:
        heard = Listener(connection)
        await heard.until("transcription_session.created")
        await connection.transcription_session.update(
            session={
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "whisper-1", "language": "en"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
            }
        )
        updated = await heard.until("transcription_session.updated")
        assert updated["session"]["input_audio_format"] == "g711_ulaw"
        assert updated["session"]["input_audio_transcription"]["language"] == "en"
        await speak(connection, g711(audio, mulaw_table()), 8000)
        completed = await heard.until(".completed")

    assert plain(completed["transcript"]).startswith("ever tried")
    created = heard.of("conversation.item.created")[0]
    assert created["item"]["id"] == completed["item_id"]


NODE = """
import WebSocket from "ws";
import { readFileSync } from "node:fs";

const [url, path] = process.argv.slice(2);
const audio = readFileSync(path);
const socket = new WebSocket(url, ["realtime", "openai-insecure-api-key.none"], {
  perMessageDeflate: false,
});
const send = (event) => socket.send(JSON.stringify(event));
socket.on("error", (error) => { console.error(String(error)); process.exit(1); });
socket.on("message", (data) => {
  const event = JSON.parse(data);
  console.log(JSON.stringify(event));
  if (event.type === "session.created")
    send({ type: "session.update", session: { type: "transcription", audio: { input: {
      format: { type: "audio/pcm", rate: 24000 }, turn_detection: null } } } });
  if (event.type === "session.updated") {
    for (let at = 0; at < audio.length; at += 4801)
      send({ type: "input_audio_buffer.append",
             audio: audio.subarray(at, at + 4801).toString("base64") });
    send({ type: "input_audio_buffer.commit" });
  }
  if (event.type.endsWith(".completed")) socket.close();
});
"""


async def test_node_with_ws(server: Server, tmp_path: Any, node_ws: Any) -> None:
    recording = tmp_path / "speech.pcm"
    recording.write_bytes(speech_at("beckett.wav", 24_000)[: 24_000 * 4].tobytes())

    events = await run_node(
        node_ws, NODE, f"{server.ws}/v1/realtime?intent=transcription", str(recording)
    )

    assert [e["type"] for e in events][:2] == ["session.created", "session.updated"]
    deltas = "".join(e["delta"] for e in events if e["type"].endswith(".delta"))
    assert events[-1]["transcript"] == deltas
    assert plain(deltas).startswith("ever tried ever failed")
