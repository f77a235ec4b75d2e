"""OpenAI Realtime, transcription: what a client says and is told."""

import base64
import json
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import (
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemInputAudioTranscriptionDeltaEvent,
    ConversationItemInputAudioTranscriptionFailedEvent,
    InputAudioBufferClearedEvent,
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    InputAudioBufferSpeechStoppedEvent,
    RealtimeErrorEvent,
)
from pydantic import BaseModel

from engine.messages import Step, StepResult
from engine.segment import Due
from gateway.errors import GatewayError, Internal, ShuttingDown, SlowConsumer, all_errors
from gateway.wire.codec import Handshake
from gateway.wire.messages import AudioFrame, Configure, Finalize, Reply
from gateway.wire.openai_realtime import OpenAiRealtimeCodec, OpenAiRealtimeDialect
from tests.engine.scripted import Scene, ScriptedModel
from tests.gateway.wire.hosts import host
from tests.gateway.wire.played import PlayedConversation

DIALECT = OpenAiRealtimeDialect()
PCM_16K = {"format": {"type": "audio/pcm", "rate": 16_000}}
TWENTY = " ".join(["one two three four five six seven eight nine ten"] * 2)
VENDOR: dict[str, type[BaseModel]] = {
    "input_audio_buffer.speech_started": InputAudioBufferSpeechStartedEvent,
    "input_audio_buffer.speech_stopped": InputAudioBufferSpeechStoppedEvent,
    "input_audio_buffer.committed": InputAudioBufferCommittedEvent,
    "input_audio_buffer.cleared": InputAudioBufferClearedEvent,
    "conversation.item.added": ConversationItemAdded,
    "conversation.item.done": ConversationItemDone,
    "conversation.item.input_audio_transcription.delta":
        ConversationItemInputAudioTranscriptionDeltaEvent,
    "conversation.item.input_audio_transcription.completed":
        ConversationItemInputAudioTranscriptionCompletedEvent,
    "conversation.item.input_audio_transcription.failed":
        ConversationItemInputAudioTranscriptionFailedEvent,
    "error": RealtimeErrorEvent,
}  # fmt: skip


def update(**audio: Any) -> dict[str, Any]:
    session = {"type": "transcription", "audio": {"input": PCM_16K | audio}}
    return {"type": "session.update", "session": session}


def talk(scene: Scene, *, setup: dict[str, Any] | None = None, **options: Any) -> Any:
    frame = json.dumps(setup or update())
    return PlayedConversation(DIALECT, scene, setup=[frame], **options)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].split(".")[-1] for event in events]


def told(talk: PlayedConversation) -> list[tuple[str, str]]:
    """Deltas and transcript of each item, in the order of their completion."""
    deltas: dict[str, str] = {}
    for event in talk.of(".delta"):
        deltas[event["item_id"]] = deltas.get(event["item_id"], "") + event["delta"]
    return [(deltas.get(e["item_id"], ""), e["transcript"]) for e in talk.of(".completed")]


COMMIT = {"type": "input_audio_buffer.commit"}
CLEAR = {"type": "input_audio_buffer.clear"}
TURNS_BY_CLIENT = update(turn_detection=None)


class TestServerTurns:
    def test_each_utterance_is_an_item_told_of_in_order(self) -> None:
        call = talk(Scene(TWENTY, 1000, "ten", 1000))
        call.speak()

        first = ["speech_started", "speech_stopped", "committed", "added", "done", "completed"]
        said = [kind for kind in kinds(call.events[2:]) if kind != "delta"]
        assert said == first * 2
        assert told(call) == [
            (TWENTY, TWENTY), ("ten", "ten"),
        ]  # fmt: skip
        assert kinds(call.events)[:4] == ["created", "updated", "speech_started", "delta"]
        committed = call.of(".committed")
        assert [e["previous_item_id"] for e in committed] == [None, committed[0]["item_id"]]

    def test_times_are_those_of_the_audio(self) -> None:
        call = talk(Scene(1000, "one two three four five", 1000))
        call.speak()

        [started], [stopped] = call.of("speech_started"), call.of("speech_stopped")
        [completed] = call.of(".completed")
        assert abs(started["audio_start_ms"] - 700) <= 32  # with its padding of 300
        assert abs(stopped["audio_end_ms"] - (1000 + 5 * 320 + 500)) <= 64  # with its silence
        assert abs(completed["usage"]["seconds"] - 2.0) < 0.2
        assert completed["languages"] == [{"code": "en"}]

    def test_speech_that_is_too_long_becomes_several_items_with_bounds_of_their_own(self) -> None:
        call = talk(Scene("word " * 200, 1000))
        call.speak()

        items = [e["item_id"] for e in call.of("speech_started")]
        assert len(items) == 3
        assert [e["item_id"] for e in call.of("speech_stopped")] == items
        assert [e["item_id"] for e in call.of(".completed")] == items
        assert sum(len(text.split()) for _, text in told(call)) == 200

    def test_a_commit_amid_speech_ends_the_item_there(self) -> None:
        call = talk(Scene("one two three four five six", 2000))
        call.speak(960)
        call.send(COMMIT)
        call.speak()

        assert [text for _, text in told(call)] == ["one two three", "four five six"]

    def test_a_commit_of_silence_is_an_item_without_text_or_speech(self) -> None:
        call = talk(Scene(2000))
        call.speak()
        call.send(COMMIT)

        assert kinds(call.events[2:]) == ["committed", "added", "done", "completed"]
        assert told(call) == [("", "")]

    def test_items_keep_their_order_when_finals_are_late(self) -> None:
        """ "three" is heard before it is known what "one two" and the silence behind it were."""
        call = talk(Scene("one two", 1500, "three", 1500), delay=lambda: 200)
        call.speak(1600)
        call.send(COMMIT)
        call.speak()
        call.end()

        said = [e for e in call.events if e["type"].endswith((".completed", "speech_started"))]
        assert kinds(said) == ["speech_started"] * 2 + ["completed"] * 3
        assert [text for _, text in told(call)] == ["one two", "", "three"]
        committed = [event["item_id"] for event in call.of(".committed")]
        assert [event["item_id"] for event in call.of(".completed")] == committed


class TestClientTurns:
    def test_items_end_where_the_client_commits_and_speech_is_not_announced(self) -> None:
        call = talk(Scene("one two", 1500, "three", 500, "four", 500), setup=TURNS_BY_CLIENT)
        call.speak(3000)
        call.send(COMMIT)
        call.speak()
        call.send(COMMIT)

        assert told(call) == [("one two three",) * 2, ("four", "four")]
        once = ["delta", "committed", "added", "done", "completed"]
        assert kinds(call.events[2:]) in (
            once * 2, ["committed", "added", "done", "delta", "completed"] * 2,
        )  # fmt: skip

    def test_an_item_is_longer_than_the_longest_segment(self) -> None:
        call = talk(Scene("word " * 200), setup=TURNS_BY_CLIENT)
        call.speak()
        call.send(COMMIT)

        [(deltas, transcript)] = told(call)
        assert deltas == transcript == " ".join(["word"] * 200)
        assert len(call.of(".delta")) > 5
        assert abs(call.of(".completed")[0]["usage"]["seconds"] - 64) < 1

    @pytest.mark.parametrize("samples", [0, 1599])
    def test_less_than_100_ms_cannot_be_committed(self, samples: int) -> None:
        call = talk(Scene(1000), setup=TURNS_BY_CLIENT)
        call.send(bytes(2 * samples))
        call.send(COMMIT | {"event_id": "c1"})

        error = call.events[-1]["error"]
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert error["event_id"] == "c1"
        assert f"only has {samples // 16}ms" in error["message"]

    def test_what_was_committed_cannot_be_committed_again(self) -> None:
        call = talk(Scene("one two", 1000), setup=TURNS_BY_CLIENT)
        call.speak()
        call.send(COMMIT)
        call.send(COMMIT)

        assert call.events[-1]["error"]["code"] == "input_audio_buffer_commit_empty"
        assert len(call.of(".completed")) == 1


class TestClearing:
    @pytest.mark.parametrize("setup", [update(), TURNS_BY_CLIENT])
    @pytest.mark.parametrize("late", [0, 40])
    def test_what_was_not_committed_is_forgotten(self, setup: Any, late: int) -> None:
        scene = Scene("one two three four", 200, "five six", 1000)
        call = talk(scene, setup=setup, delay=lambda: late)
        call.speak(4 * 320 + 100)
        call.send(CLEAR)
        assert call.events[-1]["type"] == "input_audio_buffer.cleared"
        call.speak()
        call.send(COMMIT)
        call.end()

        texts = [text for _, text in told(call) if text]
        assert texts == ["five six"]

    def test_what_was_committed_is_not(self) -> None:
        call = talk(Scene("one two", 400, "three", 1000), setup=TURNS_BY_CLIENT, delay=lambda: 30)
        call.speak(800)
        call.send(COMMIT)
        call.speak(1300)
        call.send(CLEAR)
        call.speak()
        call.end()

        assert [text for _, text in told(call)] == ["one two"]

    def test_an_empty_buffer_can_be_cleared(self) -> None:
        call = talk(Scene(500))
        call.send(CLEAR)

        assert kinds(call.events) == ["created", "updated", "cleared"]


class TestDeltas:
    def test_words_are_never_cut(self) -> None:
        call = talk(Scene("caterpillar " * 20, 1000), setup=update(transcription={"delay": "low"}))
        call.speak()

        deltas = [event["delta"] for event in call.of(".delta")]
        assert len(deltas) > 2
        assert {word for delta in deltas for word in delta.split()} == {"caterpillar"}

    def test_a_final_that_says_otherwise_is_told_in_completed_and_its_end_in_a_delta(self) -> None:
        scene = Scene(TWENTY, 1000)
        model = ScriptedModel(scene)
        said = ScriptedModel(scene)
        whole = [said._id(word.text.encode()) for word in scene.words]

        def contradicting(due: Due, step: Step) -> StepResult:
            if not step.final:
                return model.answer(due, step)
            return said.result([said._id(b" Won"), *whole[1:]])

        call = talk(scene, answer=contradicting)
        call.speak()

        [(deltas, transcript)] = told(call)
        assert transcript == TWENTY.replace("one", "Won", 1)
        assert deltas == TWENTY
        assert len(call.of(".delta")) > 1

    def test_a_segment_that_failed_is_said_to_have(self) -> None:
        call = talk(Scene("one two", 1000), answer=lambda due, step: None)
        call.speak()

        [failed] = call.of(".failed")
        assert failed["error"]["code"] == "engine_failed"
        assert not call.of(".completed")
        assert not call.of("error")

    def test_snapshots_replace_the_text_and_are_asked_for(self) -> None:
        setup = update()
        setup["session"]["include"] = ["scribewire.snapshot"]
        call = talk(Scene("one two three four five six seven eight", 1000), setup=setup)
        call.speak()

        snapshots = [e["text"] + e["stash"] for e in call.of("transcription.text")]
        assert snapshots[-1] == "one two three four five six seven eight"
        assert all(snapshots[-1].startswith(text) for text in snapshots)
        assert {e["item_id"] for e in call.of("transcription.text")} == {
            e["item_id"] for e in call.of(".completed")
        }


class TestConfiguring:
    def test_the_first_event_shows_the_whole_configuration(self) -> None:
        codec = OpenAiRealtimeCodec(host())
        [created] = PlayedConversation(DIALECT, Scene(100)).events
        session = created["session"]

        assert created["type"] == "session.created"
        assert session["id"].startswith("sess_")
        assert session["expires_at"] == 1_800_003_600
        assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        assert codec.options["sample_rate"] == 24_000

    @pytest.mark.parametrize(
        ("headers", "first"),
        [
            ({}, "session.created"),
            ({"openai-beta": "realtime=v1"}, "transcription_session.created"),
        ],
    )
    def test_the_older_form_is_spoken_to_those_who_ask_for_it(
        self, headers: dict[str, str], first: str
    ) -> None:
        call = PlayedConversation(DIALECT, Scene(100), headers=headers)
        call.send({"type": "transcription_session.update", "session": {"turn_detection": None}})

        assert [event["type"] for event in call.events] == [first, "transcription_session.updated"]
        assert call.events[1]["session"]["input_audio_format"] == "pcm16"

    def test_who_uses_the_older_update_gets_the_older_events(self) -> None:
        call = talk(Scene("one two", 2000))
        call.send({"type": "transcription_session.update", "session": {}})
        call.speak()

        assert call.events[2]["type"] == "transcription_session.updated"
        assert len(call.of("conversation.item.created")) == 1
        assert not call.of("conversation.item.added")

    def test_an_update_answers_with_all_that_is_in_force_then(self) -> None:
        call = talk(Scene("one", 1000))
        call.speak()
        call.send(update(transcription={"language": "zh-TW", "prompt": "zoo"}))

        shown = call.events[-1]["session"]["audio"]["input"]
        assert shown["transcription"]["language"] == "zh"
        assert shown["format"]["rate"] == 16_000
        assert call.session.options.language == "zh"
        assert call.session.options.context == "zoo"

    def test_a_refused_update_changes_nothing(self) -> None:
        call = talk(Scene("one", 1000))
        call.speak()
        call.send(
            update(transcription={"language": "zh"}, format={"type": "audio/pcmu"})
            | {"event_id": "u"}
        )

        assert call.events[-1]["error"]["param"] == "format"
        assert call.events[-1]["error"]["event_id"] == "u"
        assert call.session.options.language is None
        call.send(update())
        shown = call.events[-1]["session"]["audio"]["input"]
        assert shown["transcription"]["language"] is None

    def test_several_updates_before_audio_all_count(self) -> None:
        call = talk(Scene(100))
        call.send(update(turn_detection={"type": "server_vad", "silence_duration_ms": 900}))
        call.send(update(format={"type": "audio/pcma"}))

        options = call.session.options
        assert (options.endpoint_ms, options.encoding, options.sample_rate) == (900, "alaw", 8000)


class TestAppending:
    def test_audio_may_be_parted_anywhere(self) -> None:
        codec = OpenAiRealtimeCodec(host())
        data = bytes(range(256))
        frames = []
        for at in range(0, 256, 7):
            audio = base64.b64encode(data[at : at + 7]).decode()
            event = json.dumps({"type": "input_audio_buffer.append", "audio": audio})
            frames += codec.decode(event)

        assert all(isinstance(f, AudioFrame) and len(f.pcm) % 2 == 0 for f in frames)
        assert b"".join(f.pcm for f in frames if isinstance(f, AudioFrame)) == data

    def test_binary_frames_are_audio_too(self) -> None:
        assert OpenAiRealtimeCodec(host()).decode(b"\1\2\3\4") == [AudioFrame(b"\1\2\3\4")]

    @pytest.mark.parametrize("audio", [None, 5, "*", "AAA", "ab\n=", "é", [], "AA=A"])
    def test_what_is_not_base64_is_refused(self, audio: object) -> None:
        call = talk(Scene(100))
        call.send({"type": "input_audio_buffer.append", "audio": audio, "event_id": "a"})

        error = call.events[-1]["error"]
        assert (error["code"], error["param"], error["event_id"]) == ("invalid_audio", "audio", "a")

    def test_a_long_append_is_no_control_message(self) -> None:
        codec = OpenAiRealtimeCodec(host())
        audio = base64.b64encode(bytes(100_000)).decode()
        event = json.dumps({"type": "input_audio_buffer.append", "audio": audio})
        assert codec.decode(event) == [AudioFrame(bytes(100_000))]
        with pytest.raises(GatewayError, match="at most 4096 bytes"):
            codec.decode(json.dumps({"type": "session.update", "x": "y" * 5000}))


class TestErrors:
    @pytest.mark.parametrize(
        ("frame", "code", "words"),
        [
            ("garbage", "invalid_message", "JSON object"),
            ("[]", "invalid_message", "must be a map"),
            ('{"type": 5}', "invalid_message", "5 is not a type of event"),
            ('{"type": "dance"}', "invalid_message", "input_audio_buffer.append"),
            ('{"type": "response.create"}', "unsupported", "belongs to conversations"),
            ('{"type": "conversation.item.create"}', "unsupported", "belongs to conversations"),
            ('{"type": "session.update"}', None, None),
            ('{"type": "session.update", "session": 5}', "invalid_option", "must be a map"),
        ],
    )
    def test_they_leave_the_session_open(
        self, frame: str, code: str | None, words: str | None
    ) -> None:
        call = talk(Scene("one", 1000))
        call.send(frame)
        last = call.events[-1]
        if code is None:
            assert last["type"] == "session.updated"
        else:
            assert last["error"]["code"] == code
            assert words in last["error"]["message"]
            assert last["error"]["type"] == "invalid_request_error"
        call.speak()
        assert told(call) == [("one", "one")]

    def test_the_vendors_client_reconnects_where_that_helps(self) -> None:
        codec = OpenAiRealtimeCodec(host())
        assert codec.closing(ShuttingDown()).code == 1012
        assert codec.closing(Internal()).code == 1011
        assert codec.closing(SlowConsumer()).code == 1013
        for error in all_errors():
            closing = codec.closing(error())
            assert (closing.code in (1011, 1012, 1013)) == error.retryable
            assert closing.reason == error.code

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ([("intent", "conversation")], "intent must be transcription"),
            ([("intent", "transcription"), ("language", "en")], "send it in session.update"),
        ],
    )
    def test_other_intents_are_refused_before_the_handshake(
        self, query: list[tuple[str, str]], words: str
    ) -> None:
        with pytest.raises(GatewayError, match=words) as refused:
            DIALECT.open(Handshake(query, (), {}), host())
        assert words in DIALECT.refusal(refused.value, host())["error"]["message"]

    @pytest.mark.parametrize(
        ("offered", "accepted", "beta"),
        [
            (["realtime", "openai-insecure-api-key.k"], "realtime", False),
            (["realtime", "openai-beta.realtime-v1"], "realtime", True),
            ([], None, False),
        ],
    )
    def test_browsers_offer_subprotocols(
        self, offered: list[str], accepted: str | None, beta: bool
    ) -> None:
        opening = DIALECT.open(Handshake([("model", "x")], offered, {}), host())
        assert opening.subprotocol == accepted
        assert opening.codec._items.beta is beta  # type: ignore[attr-defined]


# Whatever a client does


scenes = st.lists(
    st.integers(0, 1500) | st.integers(1, 28).map(lambda n: " ".join(["one two six"] * n)[: 4 * n]),
    min_size=1, max_size=6,
)  # fmt: skip
deeds = st.lists(
    st.tuples(st.integers(100, 4000), st.sampled_from(["commit", "clear", "turns", "no turns"])),
    max_size=6,
)
TURNS = {"commit": COMMIT, "clear": CLEAR, "turns": update(turn_detection={"type": "server_vad"}),
         "no turns": TURNS_BY_CLIENT}  # fmt: skip


@settings(max_examples=75, deadline=None)
@given(
    scenes, deeds, st.lists(st.integers(0, 40), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=1, max_size=4), st.booleans(),
)  # fmt: skip
def test_whatever_is_said_and_asked_the_events_are_in_order_and_deltas_make_the_transcript(
    parts: list[str | int],
    deeds: list[tuple[int, str]],
    delays: list[int],
    conflated: list[bool],
    by_client: bool,
) -> None:
    waits, conflate = cycle(delays), cycle(conflated)
    call = talk(
        Scene(*parts),
        setup=TURNS_BY_CLIENT if by_client else update(),
        delay=lambda: next(waits),
        conflate=lambda: next(conflate),
    )
    at = 0
    for pause, deed in deeds:
        at += pause
        call.speak(at)
        call.send(TURNS[deed])
    call.speak()
    call.end()

    for event in call.events[2:]:
        kind = event["type"]
        if not kind.startswith("session."):
            VENDOR[kind].model_validate(event, strict=True)
    committed = [e["item_id"] for e in call.of(".committed")]
    assert [e["item_id"] for e in call.of(".completed")] == committed
    assert [e["item"]["id"] for e in call.of("item.added")] == committed
    assert [e["previous_item_id"] for e in call.of(".committed")] == [None, *committed][:-1]
    assert len(set(committed)) == len(committed)
    for deltas, transcript in told(call):
        assert deltas == transcript
        assert transcript == transcript.strip()
    stops = [e["audio_end_ms"] for e in call.of("speech_stopped")]
    assert stops == sorted(stops)
    for kind in ("speech_started", "speech_stopped"):
        items = [e["item_id"] for e in call.of(kind)]
        assert len(set(items)) == len(items)
    ids = [event["event_id"] for event in call.events]
    assert len(set(ids)) == len(ids)
    if not any(deed == "clear" for _, deed in deeds):
        spoken = " ".join(filter(None, (text for _, text in told(call))))
        assert spoken.split() == Scene(*parts).text.split()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
events = st.fixed_dictionaries(
    {"type": st.sampled_from([*[str(e["type"]) for e in (*TURNS.values(), update())],
                              "transcription_session.update", "input_audio_buffer.append", "x"])},
    optional={
        "event_id": st.text(max_size=3) | st.integers(),
        "audio": json_values | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()),
        "session": json_values | st.fixed_dictionaries({}, optional={
            "type": st.sampled_from(["transcription", "realtime"]),
            "include": json_values,
            "turn_detection": json_values,
            "input_audio_format": json_values | st.just("g711_alaw"),
            "audio": st.fixed_dictionaries({"input": st.fixed_dictionaries({}, optional={
                "format": json_values | st.just({"type": "audio/pcmu"}),
                "turn_detection": json_values | st.just({"type": "server_vad"}),
                "transcription": json_values | st.just({"language": "zh"}),
            })}),
        }),
    },
)  # fmt: skip
frames = st.binary(max_size=4000) | st.text(max_size=30) | events.map(json.dumps)


@settings(max_examples=100, deadline=None)
@given(st.lists(frames, max_size=12))
def test_whatever_comes_there_is_an_answer_or_a_clear_error(sent: list[str | bytes]) -> None:
    codec = OpenAiRealtimeCodec(host())
    for frame in sent:
        error: GatewayError | None = None
        answers: Sequence[object] = ()
        try:
            answers = codec.decode(frame)
        except GatewayError as refusal:
            error = refusal
        assert error is None or (error.recoverable and error.message.endswith("."))
        for each in answers:
            assert isinstance(each, AudioFrame | Configure | Finalize | Reply)
            if isinstance(each, AudioFrame):
                assert len(each.pcm) % codec._items.config.frame_bytes == 0
            if isinstance(each, Reply):
                [shown] = codec.encode(each)
                json.loads(shown)
