"""Deepgram live: what a client says and is told."""

import hashlib
import json
from itertools import cycle
from typing import Any

import pytest
from deepgram.listen.v1.types import (
    ListenV1ConfigureFailure,
    ListenV1ConfigureSuccess,
    ListenV1Error,
    ListenV1Metadata,
    ListenV1Results,
    ListenV1SpeechStarted,
    ListenV1UtteranceEnd,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gateway.errors import GatewayError, IdleTimeout, InvalidOption, ShuttingDown, all_errors
from gateway.wire.codec import Handshake
from gateway.wire.deepgram import DeepgramCodec, DeepgramDialect
from gateway.wire.messages import AudioFrame, Configure, Finalize, Reply, Stop
from tests.engine.scripted import Scene
from tests.gateway.wire.hosts import DEAF_TO_CONTEXT, host
from tests.gateway.wire.played import PlayedConversation

DIALECT = DeepgramDialect()
VENDOR: dict[str, type[BaseModel]] = {
    "Results": ListenV1Results, "Metadata": ListenV1Metadata, "Error": ListenV1Error,
    "SpeechStarted": ListenV1SpeechStarted, "UtteranceEnd": ListenV1UtteranceEnd,
    "ConfigureSuccess": ListenV1ConfigureSuccess, "ConfigureFailure": ListenV1ConfigureFailure,
}  # fmt: skip
BASE = {"encoding": "linear16", "sample_rate": "16000"}
CLOSE, FINALIZE = {"type": "CloseStream"}, {"type": "Finalize"}


def talk(scene: Scene, asked: dict[str, str] | None = None, **options: Any) -> PlayedConversation:
    query = list((BASE | (asked or {})).items())
    return PlayedConversation(DIALECT, scene, query=query, **options)


def codec(**query: str) -> DeepgramCodec:
    opened = DIALECT.open(Handshake(list((BASE | query).items()), (), {}), host())
    assert isinstance(opened.codec, DeepgramCodec)
    return opened.codec


def finals(call: PlayedConversation) -> list[dict[str, Any]]:
    return [event for event in call.of("Results") if event["is_final"]]


def transcript(results: dict[str, Any]) -> Any:
    return results["channel"]["alternatives"][0]["transcript"]


class TestResults:
    def test_each_utterance_ends_with_a_final_result(self) -> None:
        call = talk(Scene("one two three", 1000, "four", 1000))
        call.speak()
        call.send(CLOSE)

        assert [event["type"] for event in call.events] == ["Results", "Results", "Metadata"]
        assert [transcript(event) for event in finals(call)] == ["one two three", "four"]
        assert all(event["speech_final"] for event in finals(call))
        assert not any(event["from_finalize"] for event in finals(call))

    def test_interim_results_are_asked_for_and_replaced(self) -> None:
        call = talk(Scene("one two three four five six seven", 1000), {"interim_results": "true"})
        call.speak()

        *interim, final = call.of("Results")
        assert len(interim) >= 2
        assert not any(e["is_final"] or e["speech_final"] for e in interim)
        assert all(transcript(final).startswith(transcript(event)) for event in interim)
        assert {event["start"] for event in interim} == {final["start"]}

    def test_words_lie_where_speech_was_heard(self) -> None:
        call = talk(Scene(1000, "one two three", 1000))
        call.speak()

        [final] = finals(call)
        words = final["channel"]["alternatives"][0]["words"]
        assert [word["word"] for word in words] == ["one", "two", "three"]
        assert abs(words[0]["start"] - 1.0) <= 0.04  # the speech's onset, not the padding before
        assert abs(words[-1]["end"] - 1.96) <= 0.04
        assert abs(final["start"] - 0.7) <= 0.04
        assert final["start"] + final["duration"] >= words[-1]["end"]
        assert final["channel"]["alternatives"][0]["languages"] == ["en"]

    def test_speech_that_goes_on_is_final_in_parts(self) -> None:
        call = talk(Scene("word " * 100, 1000))
        call.speak()

        assert [event["speech_final"] for event in finals(call)] == [False, True]
        assert sum(len(transcript(event).split()) for event in finals(call)) == 100

    def test_without_endpointing_only_the_client_ends_an_utterance(self) -> None:
        call = talk(Scene("one", 3000, "two", 3000), {"endpointing": "false"})
        call.speak()
        assert not finals(call)
        call.send(FINALIZE)

        [final] = finals(call)
        assert (transcript(final), final["from_finalize"]) == ("one two", True)

    def test_a_finalize_of_silence_is_answered_too(self) -> None:
        call = talk(Scene(1000))
        call.speak()
        call.send(FINALIZE | {"channel": 0})

        [final] = finals(call)
        assert (transcript(final), final["from_finalize"]) == ("", True)
        assert final["channel"]["alternatives"][0]["words"] == []


class TestEvents:
    def test_speech_is_announced_if_asked_for(self) -> None:
        call = talk(Scene(1000, "one two", 1000), {"vad_events": "true"})
        call.speak()

        [started] = call.of("SpeechStarted")
        assert abs(started["timestamp"] - 1.0) <= 0.04
        assert started["channel"] == [0, 1]

    @pytest.mark.parametrize("late", [0, 60])
    def test_an_utterance_ends_after_its_last_result(self, late: int) -> None:
        asked = {"interim_results": "true", "utterance_end_ms": "1000"}
        call = talk(Scene("one", 600, "two", 1500, "three", 1500), asked, delay=lambda: late)
        call.speak()
        call.send(CLOSE)

        told = [
            event["type"] if event["type"] != "Results" else transcript(event)
            for event in call.events
            if event["type"] != "Results" or event["is_final"]
        ]
        assert told == ["one", "two", "UtteranceEnd", "three", "UtteranceEnd", "Metadata"]
        ends = [event["last_word_end"] for event in call.of("UtteranceEnd")]
        assert abs(ends[0] - 1.24) <= 0.04

    def test_metadata_describes_all_audio(self) -> None:
        scene = Scene("one", 1000)
        call = talk(scene)
        call.speak()
        call.send(CLOSE)

        metadata = call.events[-1]
        sent = (scene.audio * 32_768).astype("<i2").tobytes()
        assert metadata["sha256"] == hashlib.sha256(sent).hexdigest()
        assert metadata["duration"] == 1.32
        assert metadata["created"] == "2027-01-15T08:00:00.000Z"
        assert metadata["request_id"] == call.events[0]["metadata"]["request_id"]


class TestControl:
    def test_audio_may_be_parted_anywhere(self) -> None:
        it = codec(channels="2")
        data = bytes(range(240))
        frames = [each for at in range(0, 240, 7) for each in it.decode(data[at : at + 7])]

        assert all(isinstance(f, AudioFrame) and len(f.pcm) % 4 == 0 for f in frames)
        assert b"".join(f.pcm for f in frames if isinstance(f, AudioFrame)) == data

    @pytest.mark.parametrize("close", [b"", json.dumps(CLOSE)])
    def test_after_the_end_nothing_is_heard_any_more(self, close: str | bytes) -> None:
        it = codec()
        assert it.decode(close) == [Stop()]
        for frame in (b"\0\0", json.dumps(CLOSE), '{"type": "KeepAlive"}', "garbage"):
            assert it.decode(frame) == []

    def test_a_keepalive_is_not_answered(self) -> None:
        assert codec().decode('{"type": "KeepAlive"}') == []
        assert codec().keepalive.idle_s == 10

    def test_keyterms_may_change(self) -> None:
        call = talk(Scene("one", 1000))
        call.speak()
        call.send({"type": "Configure", "keyterms": ["okapi", "tapir"], "features": None})

        assert call.events[-1]["type"] == "ConfigureSuccess"
        assert call.session.options.context == "okapi, tapir"
        call.send({"type": "Configure", "keyterms": None})
        assert call.session.options.context == "okapi, tapir"
        call.send({"type": "Configure", "keyterms": ["x" * 3000]})
        assert call.events[-1]["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
        call.send({"type": "Configure", "keyterms": []})
        assert call.session.options.context == ""

    def test_keyterms_that_the_model_does_not_hear_are_refused(self) -> None:
        opened = DIALECT.open(Handshake(list(BASE.items()), (), {}), host(DEAF_TO_CONTEXT))
        [failure] = opened.codec.decode('{"type": "Configure", "keyterms": ["okapi"]}')

        assert isinstance(failure, Reply)
        assert failure.body["code"] == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"

    @pytest.mark.parametrize(
        ("message", "variant", "words"),
        [
            ("garbage", "SchemaError", "JSON object"),
            ("[]", "SchemaError", "must be a map"),
            ('{"type": "Dance"}', "SchemaError", "KeepAlive, Finalize"),
            ('{"type": "Finalize", "channel": 1}', "invalid_option", "channel must be 0"),
            ('{"type": "KeepAlive", "x": "%s"}' % ("y" * 5000), "SchemaError", "at most 4096"),
        ],
    )
    def test_errors_leave_the_session_open(self, message: str, variant: str, words: str) -> None:
        call = talk(Scene("one", 1000))
        call.send(message)

        error = call.events[-1]
        assert (error["type"], error["variant"]) == ("Error", variant)
        assert words in error["description"]
        call.speak()
        assert [transcript(event) for event in finals(call)] == ["one"]

    def test_close_codes_are_the_vendors(self) -> None:
        it = codec()
        silent = it.closing(IdleTimeout())
        assert (silent.code, silent.reason[:8]) == (1011, "NET-0001")
        assert it.closing(ShuttingDown()).code == 1012
        for error in all_errors():
            closing = it.closing(error())
            assert closing.code in (1008, 1011, 1012)
            assert len(closing.reason.encode()) <= 123

    def test_refusals_are_the_vendors(self) -> None:
        body = DIALECT.refusal(InvalidOption("No."), host())
        assert (body["err_code"], body["err_msg"]) == ("INVALID_QUERY_PARAMETER", "No.")

    def test_browsers_offer_a_subprotocol_in_front_of_their_key(self) -> None:
        for offered, accepted in ((["token", "k"], "token"), (["x"], None)):
            handshake = Handshake(list(BASE.items()), offered, {})
            assert DIALECT.open(handshake, host()).subprotocol == accepted
            assert DIALECT.refused(handshake, host()).subprotocol == accepted


# Whatever a client does


scenes = st.lists(
    st.integers(0, 1500) | st.integers(1, 28).map(lambda n: " ".join(["one two six"] * n)[: 4 * n]),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    scenes,
    st.lists(st.integers(100, 4000), max_size=4),
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.sampled_from(["false", "300", "900"]),
)
def test_whatever_is_said_finals_hold_every_word_once_and_replace_their_interims(
    parts: list[str | int],
    finalizes: list[int],
    delays: list[int],
    conflated: list[bool],
    endpointing: str,
) -> None:
    waits, conflate = cycle(delays), cycle(conflated)
    asked = {"interim_results": "true", "utterance_end_ms": "1000", "vad_events": "true"}
    call = talk(
        Scene(*parts),
        asked | {"endpointing": endpointing},
        delay=lambda: next(waits),
        conflate=lambda: next(conflate),
    )
    at = 0
    for pause in finalizes:
        at += pause
        call.speak(at)
        call.send(FINALIZE)
    call.speak()
    call.send(CLOSE)

    for event in call.events:
        VENDOR[event["type"]].model_validate(event, strict=True)
    assert " ".join(transcript(e) for e in finals(call)).split() == Scene(*parts).text.split()
    assert [e["from_finalize"] for e in finals(call)].count(True) == len(finalizes)
    starts = [event["start"] for event in finals(call)]
    assert starts == sorted(starts)
    open_start = None
    for event in call.of("Results"):
        assert open_start in (None, event["start"])
        open_start = None if event["is_final"] else event["start"]
        for alternative in event["channel"]["alternatives"]:
            spoken = " ".join(word["punctuated_word"] for word in alternative["words"])
            assert spoken == alternative["transcript"]
    assert [e["type"] for e in call.events].index("Metadata") == len(call.events) - 1


short = st.text(max_size=3)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["KeepAlive", "Finalize", "CloseStream", "Configure", "x", 5])},
    optional={
        "channel": st.integers(0, 1) | st.text(max_size=2),
        "keyterms": st.none() | short | st.lists(short | st.integers()),
        "features": st.dictionaries(short, st.booleans()),
    },
)  # fmt: skip
frames = st.binary(max_size=4000) | st.text(max_size=30) | messages.map(json.dumps)


@settings(max_examples=100, deadline=None)
@given(st.lists(frames, max_size=12))
def test_whatever_comes_there_is_an_answer_or_a_clear_error(sent: list[str | bytes]) -> None:
    it = codec()
    for frame in sent:
        error: GatewayError | None = None
        try:
            for each in it.decode(frame):
                assert isinstance(each, AudioFrame | Configure | Finalize | Reply | Stop)
        except GatewayError as refusal:
            error = refusal
        assert error is None or (error.recoverable and error.message.endswith("."))
