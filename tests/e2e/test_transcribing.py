"""The main job over a real socket with the real model: real speech in, the right words out."""

import re
from itertools import pairwise

import numpy as np
import pytest

from engine.segment import StreamOptions
from gateway.audio import mulaw_table
from tests.conftest import Server
from tests.e2e.dialogue import Dialogue, Offline, converse
from tests.speech import g711, pcm16

pytestmark = pytest.mark.timeout(120)

BECKETT = ["ever tried", "ever failed", "no matter", "try again", "fail again"]


@pytest.fixture(scope="module")
def offline() -> Offline:
    return Offline()


def words(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())


def check_order(dialogue: Dialogue) -> None:
    """What holds for every conversation."""
    assert [event["seq"] for event in dialogue.events] == list(range(1, len(dialogue.events) + 1))
    assert dialogue.events[0]["type"] == "ready"
    finals = [final["segment"] for final in dialogue.of("final")]
    assert finals == list(range(1, len(finals) + 1))
    confirmed = [event["samples"] for event in dialogue.of("confirmed")]
    assert confirmed == sorted(set(confirmed))
    assert dialogue.retractions() == 0
    assert dialogue.unannounced_revisions() == 0
    assert not dialogue.of("error")


async def test_ten_seconds_of_speech_become_six_sentences(server: Server) -> None:
    audio, _ = pcm16("beckett.wav")

    dialogue = await converse(server.ws, audio, speed=8)

    check_order(dialogue)
    assert dialogue.close_code == 1000
    assert [words(final["text"]).strip() for final in dialogue.of("final")][:5] == BECKETT
    assert dialogue.of("done")[0]["segments"] == 6
    assert dialogue.of("done")[0]["duration_ms"] == round(len(audio) / 32)
    assert [final["reason"] for final in dialogue.of("final")] == ["endpoint"] * 6
    assert len(dialogue.of("speech_started")) == len(dialogue.of("speech_ended")) == 6


@pytest.mark.parametrize("seconds", [1.5, 2.0, 5.0])
async def test_short_pieces_are_what_the_model_says_of_them(
    server: Server, offline: Offline, seconds: float
) -> None:
    audio = pcm16("beckett.wav")[0][: int(seconds * 32_000)]

    dialogue = await converse(server.ws, audio, speed=4)

    check_order(dialogue)
    assert [f["text"] for f in dialogue.of("final")] == [f.text for f in offline.finals(audio)]
    assert words(dialogue.text).startswith("ever tried")


@pytest.mark.parametrize(
    ("query", "speed"),
    [("", 6), ("chunk_ms=auto", 6), ("chunk_ms=500&rollback_tokens=0&cold_chunks=0", 6),
     ("rollback_tokens=all", 6), ("partials=false", None), ("chunk_ms=8000", None)],
)  # fmt: skip
async def test_44_seconds_come_out_as_offline_whatever_the_options(
    server: Server, offline: Offline, query: str, speed: float | None
) -> None:
    audio, rate = pcm16("two_cities.wav")

    dialogue = await converse(
        server.ws,
        audio,
        bytes_per_second=2 * rate,
        speed=speed,
        query=f"sample_rate={rate}&{query}",
    )

    check_order(dialogue)
    reference = offline.finals(audio, rate)
    assert [f["text"] for f in dialogue.of("final")] == [f.text for f in reference]
    assert words(dialogue.text).startswith("it was the best of times it was the worst of times")
    assert len(reference) > 3


async def test_a_segment_that_never_pauses_is_cut_by_length_and_loses_nothing(
    server: Server, offline: Offline
) -> None:
    audio, rate = pcm16("two_cities.wav")
    query = f"sample_rate={rate}&endpoint_ms=0&max_segment_ms=10000"

    dialogue = await converse(server.ws, audio, bytes_per_second=2 * rate, speed=6, query=query)

    check_order(dialogue)
    finals = dialogue.of("final")
    assert [final["reason"] for final in finals] == ["length"] * (len(finals) - 1) + ["stop"]
    assert all(final["end_ms"] - final["start_ms"] <= 10_050 for final in finals)
    assert "the age of wisdom" in words(dialogue.text)
    assert "epoch of belief" in words(dialogue.text)


async def test_spaces_are_those_of_the_offline_text_at_every_chunk_boundary(
    server: Server, offline: Offline
) -> None:
    """The seed's bug: "hoped" + "there" became "hopedthere" where a chunk ended between them."""
    audio, rate = pcm16("two_cities.wav")
    shown = []
    for chunk_ms in (500, 900, 1700):
        dialogue = await converse(
            server.ws,
            audio,
            bytes_per_second=2 * rate,
            speed=6,
            query=f"sample_rate={rate}&chunk_ms={chunk_ms}",
        )
        check_order(dialogue)
        shown += [partial["stable"] for partial in dialogue.of("partial")]
        assert dialogue.text == "".join(final.text for final in offline.finals(audio, rate))
    assert any(shown)
    assert not any(stable.endswith(" ") or "  " in stable for stable in shown)


async def test_an_empty_session_is_done_at_once(server: Server) -> None:
    dialogue = await converse(server.ws, b"")

    assert [event["type"] for event in dialogue.events] == ["ready", "done"]
    assert dialogue.events[-1]["segments"] == 0
    assert dialogue.close_code == 1000


async def test_two_milliseconds_of_audio_are_no_speech(server: Server) -> None:
    dialogue = await converse(server.ws, pcm16("beckett.wav")[0][16_000:16_064])

    assert [e["type"] for e in dialogue.events if e["type"] != "confirmed"] == ["ready", "done"]
    assert dialogue.events[-1]["duration_ms"] == 2


@pytest.mark.parametrize("kind", ["zeros", "white noise", "hum", "garbage bytes"])
async def test_what_is_no_speech_makes_no_text_and_costs_no_step(server: Server, kind: str) -> None:
    random = np.random.default_rng(7)
    time = np.arange(16_000 * 6) / 16_000
    audio = {
        "zeros": np.zeros(len(time)),
        "white noise": random.standard_normal(len(time)) * 3000,
        "hum": np.sin(2 * np.pi * 50 * time) * 12_000,
        "garbage bytes": random.integers(-32_768, 32_767, len(time)),
    }[kind].astype("<i2")
    steps = server.metric("scribewire_steps_total")

    dialogue = await converse(server.ws, audio.tobytes(), speed=20)

    assert {e["type"] for e in dialogue.events} <= {"ready", "confirmed", "warning", "done"}
    assert server.metric("scribewire_steps_total") == steps


@pytest.mark.parametrize(
    ("query", "convert", "rate"),
    [
        ("encoding=pcm_f32le", lambda x: (x / 32_768).astype("<f4").tobytes(), 64_000),
        ("channels=2", lambda x: np.repeat(x, 2).tobytes(), 64_000),
        ("sample_rate=8000&encoding=mulaw", lambda x: g711(x[::2], mulaw_table()), 8_000),
    ],
    ids=["float", "stereo", "telephone"],
)
async def test_other_encodings_carry_the_same_speech(
    server: Server, query: str, convert: "object", rate: int
) -> None:
    samples = np.frombuffer(pcm16("beckett.wav")[0], "<i2")
    assert callable(convert)

    dialogue = await converse(
        server.ws, convert(samples), bytes_per_second=rate, speed=8, query=query
    )

    check_order(dialogue)
    assert "ever tried" in words(dialogue.text)
    assert "no matter" in words(dialogue.text)


async def test_finalize_answers_with_its_id_in_speech_and_in_silence(server: Server) -> None:
    audio = pcm16("beckett.wav")[0][: 32_000 + 6_400]
    dialogue = await _finalize_twice(server, audio)

    said, empty = dialogue.of("final")
    assert (said["id"], said["reason"]) == ("one", "finalize")
    assert words(said["text"]).startswith("ever tried")
    assert (empty["id"], empty["text"]) == ("two", "")
    assert dialogue.of("suppressed")[0]["reason"] == "silence"


async def _finalize_twice(server: Server, audio: bytes) -> Dialogue:
    import json

    from websockets.asyncio.client import connect

    dialogue = Dialogue()
    async with connect(f"{server.ws}/v1/stream", compression=None) as socket:
        await socket.send(audio)
        await socket.send('{"type": "finalize", "id": "one"}')
        await socket.send('{"type": "finalize", "id": "two"}')
        await socket.send('{"type": "stop"}')
        async for message in socket:
            dialogue.events.append(json.loads(message))
    return dialogue


async def test_nothing_of_one_utterance_leaks_into_the_next(server: Server) -> None:
    """A known defect elsewhere: the second utterance copies the first."""
    first = pcm16("beckett.wav")[0][: int(1.6 * 32_000)]
    second = pcm16("two_cities.wav")[0]
    quiet = bytes(32_000)
    samples = np.frombuffer(second, "<i2")[: 48_000 * 5 : 3]

    dialogue = await converse(server.ws, first + quiet + samples.tobytes() + quiet)

    assert "tried" in dialogue.of("final")[0]["text"]
    assert "tried" not in "".join(final["text"] for final in dialogue.of("final")[1:])
    assert "best of times" in words(dialogue.text)


async def test_unstable_text_grows_within_a_step_where_that_is_asked_for(
    server: Server, offline: Offline
) -> None:
    audio, rate = pcm16("two_cities.wav")
    audio = audio[: 2 * rate * 14]
    options = StreamOptions(partials=False, endpoint=0)

    dialogue = await converse(
        server.ws, audio, bytes_per_second=2 * rate, speed=2,
        query=f"sample_rate={rate}&endpoint_ms=0&chunk_ms=8000&stream_tokens=true",
    )  # fmt: skip

    check_order(dialogue)
    finals = [final.text for final in offline.finals(audio, rate, options)]
    assert [final["text"] for final in dialogue.of("final")] == finals
    steps: dict[tuple[int, int], list[str]] = {}
    for partial in dialogue.of("partial"):
        step = steps.setdefault((partial["segment"], partial["end_ms"]), [])
        step.append(partial["stable"] + partial["unstable"])
    several = [texts for texts in steps.values() if len(texts) > 1]
    assert several, "the words of 8 s take longer to decode than the pause between two tellings"
    for texts in several:
        assert all(len(a) < len(b) for a, b in pairwise(texts[:-1]))
