"""Adapters: what each server's messages mean. Those of WhisperLive (0.10) and WhisperLiveKit
(0.2) are in the form in which these servers send them; the other two protocols are tested against
our own gateway, which speaks them, in `test_bench` too."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from gateway.bench.protocol import Native
from gateway.bench.protocols import PROTOCOLS, Deepgram, OpenAi, WhisperLive, WhisperLiveKit

TONE = (np.sin(np.arange(1600) * 2 * np.pi * 440 / 16_000) * 10_000).astype("<i2")


def heard(protocol: Native, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for message in messages for event in protocol.take(message)]


def texts(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (each["type"], each.get("text", each.get("stable", "") + each.get("unstable", "")))
        for each in events
        if each["type"] in ("partial", "final")
    ]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("native", "ws://h:1/v1/stream?chunk_ms=auto&sample_rate=16000&language=en"),
        (
            "deepgram",
            "ws://h:1/v1/listen?language=en&encoding=linear16&sample_rate=16000&interim_results=true",
        ),
        ("openai", "ws://h:1/v1/realtime?intent=transcription"),
        ("whisperlive", "ws://h:1/"),
        ("whisperlivekit", "ws://h:1/asr?language=en"),
    ],
)
def test_each_protocol_has_its_own_address(name: str, address: str) -> None:
    assert PROTOCOLS[name]("en").address("ws://h:1", {"chunk_ms": "auto"}) == address


def test_a_path_that_is_given_stays() -> None:
    address = OpenAi().address("https://h/proxy?model=m", {})

    assert address == "wss://h/proxy?model=m&intent=transcription"


def test_keys_are_shown_as_each_vendor_wants_it() -> None:
    assert Deepgram().headers("k") == {"Authorization": "Token k"}
    assert OpenAi().headers("k") == {"Authorization": "Bearer k"}
    assert OpenAi().headers(None) == {}


def test_openai_hears_the_same_sound_at_24_khz() -> None:
    sent = json.loads(OpenAi().frame(TONE.tobytes()))
    samples = np.frombuffer(base64.b64decode(sent["audio"]), "<i2")

    tone = np.sin(np.arange(2400) * 2 * np.pi * 440 / 24_000) * 10_000
    assert sent["type"] == "input_audio_buffer.append"
    assert len(samples) == 2400
    assert np.abs(samples[:-2] - tone[:-2]).max() < 100


def test_whisper_live_hears_floats() -> None:
    samples = np.frombuffer(WhisperLive().frame(TONE.tobytes()), "<f4")  # type: ignore[arg-type]

    np.testing.assert_array_equal(samples, TONE / np.float32(32_768))


def test_deepgram_s_results_cover_audio() -> None:
    def results(text: str, duration: float, final: bool) -> dict[str, Any]:
        return {
            "type": "Results", "start": 1.5, "duration": duration, "is_final": final,
            "channel": {"alternatives": [{"transcript": text}]},
        }  # fmt: skip

    events = heard(
        Deepgram(), results("", 0.5, False), results("it was", 1.0, False),
        results("It was.", 1.2, True), {"type": "UtteranceEnd"}, {"type": "Metadata"},
    )  # fmt: skip

    assert texts(events) == [("partial", "it was"), ("final", "It was. ")]
    assert [(each["start_ms"], each["end_ms"]) for each in events[:2]] == [
        (1500, 2500), (1500, 2700),
    ]  # fmt: skip
    assert events[-1] == {"type": "done", "segments": 1}


PREFIX = "conversation.item.input_audio_transcription"


def item(kind: str, id: str = "a", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "item_id": id, **fields}


def test_openai_s_deltas_add_up_and_it_is_done_when_all_items_are() -> None:
    protocol = OpenAi()

    before = heard(
        protocol,
        {"type": "session.created"},
        {"type": "session.updated"},
        item("input_audio_buffer.speech_started", audio_start_ms=700),
        item(f"{PREFIX}.delta", delta="it "),
        item(f"{PREFIX}.delta", delta="was"),
    )
    assert protocol.stop() == [json.dumps({"type": "input_audio_buffer.commit"})]
    after = heard(
        protocol,
        item("input_audio_buffer.committed", "b"),
        item(f"{PREFIX}.completed", transcript="It was."),
        item(f"{PREFIX}.completed", "b", transcript=""),
    )

    assert before[0] == {"type": "ready"}
    assert texts(before) == [("partial", "it "), ("partial", "it was")]
    assert before[-1]["start_ms"] == 700
    assert texts(after) == [("final", "It was. "), ("final", "")]
    assert [each["type"] for each in after] == ["final", "final", "done"]


def test_openai_s_empty_commit_is_an_end_only_after_the_stop() -> None:
    error = {"type": "error", "error": {"code": "input_audio_buffer_commit_empty"}}
    protocol = OpenAi()

    assert heard(protocol, error) == [error]
    protocol.stop()
    assert heard(protocol, error) == [{"type": "done", "segments": 0}]


def test_whisper_live_tells_completed_segments_once() -> None:
    def segment(start: str, end: str, text: str, completed: bool) -> dict[str, Any]:
        return {"start": start, "end": end, "text": text, "completed": completed}

    first = segment("0.000", "2.500", " It was the best", False)
    whole = segment("0.000", "4.120", " It was the best of times", True)
    rest = segment("4.120", "5.000", " it was", False)
    protocol = WhisperLive("en")

    events = heard(
        protocol,
        {"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"},
        {"uid": "u", "segments": [first]},
        {"uid": "u", "segments": [whole, rest]},
        {"uid": "u", "segments": [whole, rest]},
    )

    assert events[0] == {"type": "ready"}
    assert texts(events) == [
        ("partial", "It was the best"), ("final", "It was the best of times "),
        ("partial", "it was"), ("partial", "it was"),
    ]  # fmt: skip
    assert texts(protocol.closed()) == [("final", " it was")]


def test_whisper_live_may_be_full() -> None:
    events = heard(WhisperLive(), {"uid": "u", "status": "WAIT", "message": 3.5})

    assert events == [{"type": "error", "code": "WAIT", "message": 3.5}]


def test_whisper_live_kit_s_lines_are_stable_and_its_buffer_is_not() -> None:
    def front(lines: list[str], buffer: str) -> dict[str, Any]:
        times = {"speaker": 1, "start": "0:00:00.00", "end": "0:00:02.00"}
        return {
            "status": "active_transcription",
            "lines": [{"text": line, **times} for line in lines],
            "buffer_transcription": buffer, "buffer_diarization": "",
        }  # fmt: skip

    events = heard(
        WhisperLiveKit("en"),
        {"type": "config", "useAudioWorklet": True, "mode": "full"},
        front([], ""),
        front([" It was the"], " best of"),
        front([" It was the", " best of times"], ""),
        {"type": "ready_to_stop"},
    )

    assert events[0] == {"type": "ready"}
    assert (events[1]["stable"].strip(), events[1]["unstable"].strip()) == ("It was the", "best of")
    assert texts(events)[-1] == ("final", "It was the best of times")
    assert events[-1] == {"type": "done", "segments": 1}
