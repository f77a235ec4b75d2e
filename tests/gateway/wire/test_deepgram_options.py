"""What a Deepgram client's query means."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.wire.deepgram_options import Listening, context_of, read_query
from gateway.wire.options import parse_options
from tests.gateway.wire.hosts import MODEL

LINEAR16 = "encoding=linear16&sample_rate=16000"


def asked(query: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return [(name, value) for name, _, value in pairs]


def read(query: str) -> Listening:
    return read_query(asked(query), MODEL)


def test_a_query_that_says_only_what_it_must() -> None:
    listening = read(LINEAR16)

    assert listening == Listening(
        {
            "encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1, "language": None,
            "context": "", "chunk_ms": 1000, "partials": False, "endpoint_ms": 300,
            "utterance_end_ms": 0, "words": False,
        }
    )  # fmt: skip
    parse_options(listening.options, max_segment_ms=28_000)


def test_word_times_are_asked_for_where_there_is_an_aligner() -> None:
    assert read_query(asked(LINEAR16), replace(MODEL, words=True)).options["words"] is True


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("interim_results=true", "partials", True),
        ("language=en-GB", "language", "en"),
        ("language=zh-HK", "language", "yue"),
        ("language=multi", "language", None),
        ("channels=2", "channels", 2),
        ("endpointing=false", "endpoint_ms", 0),
        ("endpointing=true", "endpoint_ms", 300),
        ("endpointing=10", "endpoint_ms", 300),
        ("endpointing=800", "endpoint_ms", 800),
        ("interim_results=true&utterance_end_ms=1000", "utterance_end_ms", 1000),
        ("keyterm=okapi&keyterm=two words&keywords=tapir:2&keywords=a:b", "context",
         "okapi, two words, tapir, a:b"),
    ],
)  # fmt: skip
def test_options_that_have_a_meaning(query: str, name: str, value: object) -> None:
    assert read(f"{LINEAR16}&{query}").options[name] == value


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("linear16", "pcm_s16le"), ("linear32", "pcm_f32le"), ("mulaw", "mulaw"), ("alaw", "alaw")],
)
def test_encodings(encoding: str, expected: str) -> None:
    assert read(f"encoding={encoding}&sample_rate=8000").options["encoding"] == expected


def test_vad_events_are_the_codecs_matter() -> None:
    assert read(f"{LINEAR16}&vad_events=true").vad_events is True


@pytest.mark.parametrize(
    "query",
    ["model=nova-3", "punctuate=true", "smart_format=true", "numerals=true", "tag=a&tag=b",
     "extra=a:b", "mip_opt_out=true", "version=latest", "diarize=false", "redact=false",
     "multichannel=false", "alternatives=1", "no_delay=true", "filler_words=true"],
)  # fmt: skip
def test_what_does_no_harm_is_accepted(query: str) -> None:
    assert read(f"{LINEAR16}&{query}") == read(LINEAR16)


@pytest.mark.parametrize(
    ("query", "param", "words"),
    [
        ("diarize=true", "diarize", "speakers are not told apart"),
        ("diarize_model=latest", "diarize_model", "speakers are not told apart"),
        ("multichannel=true", "multichannel", "mixed down"),
        ("redact=pci", "redact", "nothing is taken out"),
        ("redact=1", "redact", "nothing is taken out"),
        ("profanity_filter=true", "profanity_filter", "nothing is taken out"),
        ("detect_entities=true", "detect_entities", "no entities"),
        ("search=word", "search", "nothing is searched for"),
        ("replace=a:b", "replace", "nothing is replaced"),
        ("dictation=true", "dictation", "commands stay words"),
        ("callback=https://x.example", "callback", "over this connection"),
        ("alternatives=2", "alternatives", "one transcript"),
    ],
)
def test_what_would_mislead_is_refused_by_name(query: str, param: str, words: str) -> None:
    with pytest.raises(GatewayError, match=words) as refused:
        read(f"{LINEAR16}&{query}")
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("encoding=speex&sample_rate=8000", "encoding speex is not decoded: send linear16"),
        ("sample_rate=5", "from 8000 to 96000"),
        ("encoding=mp3&sample_rate=8000", "one of linear16"),
        ("encoding=linear16", "sample_rate must be given"),
        ("encoding=linear16&sample_rate=5", "from 8000 to 96000"),
        (f"{LINEAR16}&channels=3", "from 1 to 2"),
        (f"{LINEAR16}&language=xx", "en, zh, yue"),
        (f"{LINEAR16}&endpointing=soon", "from 0 to 10000 ms"),
        (f"{LINEAR16}&utterance_end_ms=1000", "needs interim_results"),
        (f"{LINEAR16}&interim_results=maybe", "true or false"),
        (f"{LINEAR16}&interim_result=true", '"interim_result" is not an option'),
        (f"{LINEAR16}&sample_rate=8000", "more than once"),
        (f"{LINEAR16}&keyterm={'x' * 2001}", "2000 characters"),
    ],
)
def test_what_is_wrong_is_said(query: str, words: str) -> None:
    with pytest.raises(GatewayError, match=words):
        read(query)


def test_terms_must_be_texts() -> None:
    with pytest.raises(GatewayError, match="must be text, got 5"):
        context_of(["okapi", 5])


@given(st.lists(st.tuples(st.sampled_from(
    ["encoding", "sample_rate", "channels", "language", "endpointing", "utterance_end_ms",
     "interim_results", "keyterm", "redact", "model", "x"]), st.text(max_size=6))))  # fmt: skip
def test_any_query_is_read_or_refused(query: list[tuple[str, str]]) -> None:
    error: GatewayError | None = None
    try:
        parse_options(read_query(query, MODEL).options, max_segment_ms=28_000)
    except GatewayError as refusal:
        error = refusal
    assert error is None or error.message.endswith(".")
