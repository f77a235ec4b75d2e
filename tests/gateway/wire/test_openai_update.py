"""How an OpenAI Realtime client configures its session, and what it is shown."""

from dataclasses import replace
from typing import Any

import pytest
from openai.types.beta.realtime.transcription_session import TranscriptionSession
from openai.types.realtime import RealtimeTranscriptionSessionCreateResponse

from engine.messages import ModelInfo
from gateway.errors import GatewayError
from gateway.wire.openai_config import Config, beta_form, ga_form
from gateway.wire.openai_update import refuse_late, update_beta, update_ga
from tests.gateway.wire.hosts import DEAF_TO_CONTEXT, MODEL

START = Config()


def ga(model: ModelInfo = MODEL, base: Config = START, **fields: Any) -> Config:
    return update_ga(base, {"type": "transcription", "audio": {"input": fields}}, model)


def beta(base: Config = START, **fields: Any) -> Config:
    return update_beta(base, fields, MODEL)


def refusal(session: object, update: Any = update_ga, model: ModelInfo = MODEL) -> GatewayError:
    with pytest.raises(GatewayError) as refused:
        update(START, session, model)
    return refused.value


def vad(**fields: Any) -> Config:
    return ga(turn_detection={"type": "server_vad", **fields})


def test_a_session_begins_as_the_vendors_does() -> None:
    assert START.fixed() | START.flexible() == {
        "encoding": "pcm_s16le", "sample_rate": 24_000, "chunk_ms": 2000, "rollback_tokens": 10,
        "vad_threshold": 0.5, "vad_padding_ms": 300, "language": None, "context": "",
        "endpoint_ms": 500,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("format", "encoding", "rate"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, "pcm_s16le", 24_000),
        ({"type": "audio/pcm", "rate": 16_000}, "pcm_s16le", 16_000),
        ({"type": "audio/pcm", "rate": 8000}, "pcm_s16le", 8000),
        ({"type": "audio/pcm"}, "pcm_s16le", 24_000),
        ({"type": "audio/pcmu"}, "mulaw", 8000),
        ({"type": "audio/pcma"}, "alaw", 8000),
    ],
)
def test_formats(format: dict[str, Any], encoding: str, rate: int) -> None:
    config = ga(format=format)
    assert (config.encoding, config.rate) == (encoding, rate)
    shown = ga_form(config, MODEL)["audio"]["input"]["format"]
    assert shown == format | ({"rate": rate} if encoding == "pcm_s16le" else {})


@pytest.mark.parametrize(
    ("name", "encoding", "rate"),
    [("pcm16", "pcm_s16le", 24_000), ("g711_ulaw", "mulaw", 8000), ("g711_alaw", "alaw", 8000)],
)
def test_formats_of_the_older_form(name: str, encoding: str, rate: int) -> None:
    config = beta(input_audio_format=name)
    assert (config.encoding, config.rate) == (encoding, rate)
    assert beta_form(config, MODEL)["input_audio_format"] == name


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"language": "en"}, {"language": "en"}),
        ({"language": "en-US"}, {"language": "en"}),
        ({"language": "zh-HK"}, {"language": "yue"}),
        ({"language": "Chinese"}, {"language": "zh"}),
        ({"language": None}, {"language": None}),
        ({"languages": ["zh"]}, {"language": "zh"}),
        ({"languages": ["zh", "en"]}, {"language": None}),
        ({"prompt": "At the zoo."}, {"prompt": "At the zoo."}),
        ({"keywords": ["okapi", "tapir"]}, {"keywords": ("okapi", "tapir")}),
        ({"delay": "low"}, {"delay": "low"}),
        ({"model": "gpt-4o-transcribe"}, {}),
    ],
)
def test_transcription(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert ga(transcription=fields) == replace(START, **expected)


def test_prompt_and_keywords_are_the_models_context() -> None:
    config = ga(transcription={"prompt": "At the zoo.", "keywords": ["okapi", "tapir"]})
    assert config.context == "At the zoo.\nokapi, tapir"


@pytest.mark.parametrize(
    ("fields", "silence_ms", "threshold", "padding_ms"),
    [
        ({}, 500, 0.5, 300),
        ({"silence_duration_ms": 250, "threshold": 0.7, "prefix_padding_ms": 100}, 250, 0.7, 100),
        ({"threshold": 0.0}, 500, 0.05, 300),
        ({"threshold": 1}, 500, 0.95, 300),
        ({"create_response": None, "interrupt_response": False, "idle_timeout_ms": None},
         500, 0.5, 300),
    ],
)  # fmt: skip
def test_server_vad(
    fields: dict[str, Any], silence_ms: int, threshold: float, padding_ms: int
) -> None:
    config = vad(**fields)
    assert (config.silence_ms, config.threshold) == (silence_ms, threshold)
    assert config.padding_ms == padding_ms


def test_no_turn_detection_is_no_endpoint_until_it_is_switched_on_again() -> None:
    config = ga(turn_detection=None)
    assert config.flexible()["endpoint_ms"] == 0
    assert ga_form(config, MODEL)["audio"]["input"]["turn_detection"] is None
    assert ga(base=config, turn_detection={"type": "server_vad"}).silence_ms == 500


@pytest.mark.parametrize(
    ("eagerness", "ms"), [("low", 1000), ("high", 400), ("auto", 600), (None, 600)]
)
def test_semantic_vad_is_served_by_silence_and_shown_as_what_it_is(
    eagerness: str | None, ms: int
) -> None:
    fields = {} if eagerness is None else {"eagerness": eagerness}
    config = ga(turn_detection={"type": "semantic_vad", **fields})
    shown = ga_form(config, MODEL)["audio"]["input"]["turn_detection"]
    assert (shown["type"], shown["silence_duration_ms"]) == ("server_vad", ms)


def test_only_fields_that_are_present_change() -> None:
    config = ga(format={"type": "audio/pcmu"}, transcription={"language": "zh", "prompt": "x"})
    config = ga(base=config, transcription={"language": "en"})
    assert (config.encoding, config.language, config.prompt) == ("mulaw", "en", "x")
    assert update_ga(config, {}, MODEL) == config


def test_noise_reduction_is_accepted_and_shown_as_off() -> None:
    config = ga(noise_reduction={"type": "near_field"})
    assert ga_form(config, MODEL)["audio"]["input"]["noise_reduction"] is None


def test_a_model_that_takes_no_context_shows_none_in_force() -> None:
    config = ga(DEAF_TO_CONTEXT, transcription={"prompt": "zoo", "keywords": ["okapi"]})
    shown = ga_form(config, DEAF_TO_CONTEXT)["audio"]["input"]["transcription"]
    assert (shown["prompt"], shown["keywords"], shown["model"]) == ("", [], "tiny")


@pytest.mark.parametrize(
    ("session", "param", "words"),
    [
        (7, "session", "must be a map"),
        ({"type": "realtime"}, "session.type", "must be transcription"),
        ({"voice": "ash"}, "session", '"voice"'),
        ({"audio": {"output": {}}}, "session.audio", '"output"'),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include", "logprobs"),
        ({"include": "x"}, "session.include", "must be a list"),
    ],
)
def test_what_is_refused_is_named(session: object, param: str, words: str) -> None:
    error = refusal(session)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"format": {"type": "audio/opus"}}, "format.type", "audio/pcm, audio/pcmu"),
        ({"format": {"type": "audio/pcm", "rate": 1}}, "format.rate", "from 8000 to 96000"),
        ({"format": {"type": "audio/pcmu", "rate": 16_000}}, "format.rate", "always 8000"),
        ({"transcription": None}, "transcription", "cannot be null"),
        ({"transcription": {"language": "xx"}}, "transcription.language", "en, zh, yue"),
        ({"transcription": {"language": 5}}, "transcription.language", "en, zh, yue"),
        ({"transcription": {"delay": "none"}}, "transcription.delay", "minimal, low"),
        ({"transcription": {"prompt": "x" * 2001}}, "transcription.prompt", "2000"),
        ({"transcription": {"keywords": [5]}}, "transcription.keywords", "text of at most"),
        ({"turn_detection": {"type": "magic"}}, "turn_detection.type", "server_vad"),
        ({"turn_detection": {"silence_duration_ms": 0}}, "turn_detection.silence_duration_ms",
         "from 100 to 10000 ms"),
        ({"turn_detection": {"threshold": 2}}, "turn_detection.threshold", "from 0 to 1"),
        ({"turn_detection": {"idle_timeout_ms": 5000}}, "turn_detection.idle_timeout_ms",
         "not available"),
    ],
)  # fmt: skip
def test_what_is_refused_in_the_audio_is_named(
    fields: dict[str, Any], param: str, words: str
) -> None:
    error = refusal({"audio": {"input": fields}})
    assert error.param == f"session.audio.input.{param}"
    assert words in error.message


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
        ({"turn_detection": {"type": "x"}}, "session.turn_detection.type"),
        ({"input_audio_transcription": {"language": "xx"}},
         "session.input_audio_transcription.language"),
    ],
)  # fmt: skip
def test_the_older_forms_refusals_name_its_own_fields(session: object, param: str) -> None:
    assert refusal(session, update_beta).param == param


def test_prompt_and_keywords_together_must_not_be_too_long() -> None:
    error = refusal(
        {"audio": {"input": {"transcription": {"prompt": "x" * 1999, "keywords": ["y" * 9]}}}}
    )
    assert "2000 characters" in error.message


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"format": {"type": "audio/pcmu"}}, "format"),
        ({"transcription": {"delay": "xhigh"}}, "transcription.delay"),
        ({"turn_detection": {"threshold": 0.9}}, "turn_detection.threshold"),
        ({"turn_detection": {"prefix_padding_ms": 0}}, "turn_detection.prefix_padding_ms"),
    ],
)
def test_once_there_is_audio_some_things_stay(change: dict[str, Any], param: str) -> None:
    with pytest.raises(GatewayError, match="before audio") as refused:
        refuse_late(START, ga(**change))
    assert refused.value.param == param


def test_language_prompt_and_turns_may_change_at_any_time() -> None:
    transcription = {"language": "zh", "prompt": "zoo"}
    refuse_late(START, ga(transcription=transcription, turn_detection=None))


def test_the_vendors_types_read_what_is_shown() -> None:
    config = ga(transcription={"language": "en", "delay": "low"}, format={"type": "audio/pcma"})
    shown = {"id": "sess_1", "object": "realtime.transcription_session", "expires_at": 1}
    RealtimeTranscriptionSessionCreateResponse.model_validate(shown | ga_form(config, MODEL))
    secret = {"client_secret": {"value": "", "expires_at": 0}}  # never sent over a WebSocket
    read = TranscriptionSession.model_construct(**(secret | beta_form(config, MODEL)))
    assert read.input_audio_format == "g711_alaw"
