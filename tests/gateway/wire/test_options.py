"""Which options there are, which values they take, and how a wrong one is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.errors import GatewayError, InvalidOption, Unsupported
from gateway.wire.options import SessionOptions, parse_options, update_options
from gateway.wire.resuming import RESUMING

LIMIT_MS = 30_000


def parse(**raw: Any) -> SessionOptions:
    return parse_options(raw, max_segment_ms=LIMIT_MS)


def refusal(**raw: Any) -> str:
    with pytest.raises(InvalidOption) as refused:
        parse(**raw)
    return refused.value.message


def test_the_defaults_are_those_of_the_protocol() -> None:
    assert parse().model_dump() == {
        "encoding": "pcm_s16le",
        "sample_rate": 16_000,
        "channels": 1,
        "language": None,
        "context": "",
        "chunk_ms": 2000,
        "rollback_tokens": 5,
        "cold_chunks": 2,
        "partials": True,
        "endpoint_ms": 600,
        "utterance_end_ms": 0,
        "max_segment_ms": 28_000,
        "vad_threshold": 0.5,
        "vad_padding_ms": 300,
        "words": False,
        "stream_tokens": False,
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("encoding", "mulaw", "mulaw"),
        ("sample_rate", "8000", 8000),
        ("sample_rate", "96000", 96_000),
        ("channels", "2", 2),
        ("language", "Cantonese", "Cantonese"),
        ("context", "Ada, Grace\nEdsger", "Ada, Grace\nEdsger"),
        ("context", "x" * 2000, "x" * 2000),
        ("chunk_ms", "500", 500),
        ("chunk_ms", "8000", 8000),
        ("chunk_ms", "auto", "auto"),
        ("rollback_tokens", "0", 0),
        ("rollback_tokens", "256", 256),
        ("rollback_tokens", "all", "all"),
        ("cold_chunks", "0", 0),
        ("cold_chunks", "64", 64),
        ("endpoint_ms", "0", 0),
        ("endpoint_ms", "100", 100),
        ("endpoint_ms", "10000", 10_000),
        ("max_segment_ms", "5000", 5000),
        ("max_segment_ms", "30000", LIMIT_MS),
        ("vad_threshold", "0.05", 0.05),
        ("vad_threshold", ".95", 0.95),
        ("vad_padding_ms", "2000", 2000),
    ],
)
def test_a_value_may_be_text_or_native(name: str, text: str, value: object) -> None:
    assert getattr(parse(**{name: text}), name) == value
    assert getattr(parse(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), ("true", True), ("False", False), ("1", True), ("0", False)],
)
def test_flags(value: object, expected: bool) -> None:
    assert parse(partials=value).partials is expected


@pytest.mark.parametrize("value", ["auto", "AUTO", None])
def test_language_auto_leaves_it_to_the_model(value: object) -> None:
    assert parse(language=value).language is None


def test_clients_whose_numbers_are_all_floats_are_understood() -> None:
    assert parse(sample_rate=48_000.0).sample_rate == 48_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoding", "PCM_S16LE"),
        ("encoding", None),
        ("sample_rate", 7999),
        ("sample_rate", 96_001),
        ("sample_rate", "16_000"),
        ("sample_rate", "16000.0"),
        ("sample_rate", " 16000"),
        ("sample_rate", "١٦٠٠٠"),
        ("sample_rate", "9" * 5000),
        ("sample_rate", True),
        ("channels", 0),
        ("channels", 3),
        ("language", ""),
        ("language", " "),
        ("language", "x" * 65),
        ("language", "en\0"),
        ("language", 5),
        ("context", "x" * 2001),
        ("context", "a\0b"),
        ("context", "\ud800"),
        ("context", None),
        ("chunk_ms", 499),
        ("chunk_ms", 8001),
        ("chunk_ms", "all"),
        ("rollback_tokens", -1),
        ("rollback_tokens", 257),
        ("rollback_tokens", "auto"),
        ("cold_chunks", 65),
        ("cold_chunks", 1.5),
        ("partials", "yes"),
        ("partials", 1),
        ("partials", None),
        ("endpoint_ms", 99),
        ("endpoint_ms", 10_001),
        ("endpoint_ms", False),
        ("max_segment_ms", 4999),
        ("max_segment_ms", LIMIT_MS + 1),
        ("vad_threshold", 0.049),
        ("vad_threshold", "0.951"),
        ("vad_threshold", "nan"),
        ("vad_threshold", "1e400"),
        ("vad_threshold", True),
        ("vad_padding_ms", 2001),
        ("words", "maybe"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    assert refusal(**{name: value}).startswith(f"{name} must be ")


@pytest.mark.parametrize("name", sorted(SessionOptions.model_fields))
@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        1e400,
        pytest.param(10**5000, id="huge"),
        pytest.param(-(10**400), id="hugely negative"),
        [],
        {},
        b"\0",
        object(),
        "\0",
        "\udfff",
        "9" * 10_000,
    ],
)
def test_no_value_whatever_breaks_an_option(name: str, value: object) -> None:
    assert refusal(**{name: value}).startswith(f"{name} must be ")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"sample_rate": "fast"},
            'sample_rate must be a whole number from 8000 to 96000 Hz, got "fast".',
        ),
        (
            {"rollback_tokens": 300},
            'rollback_tokens must be a whole number from 0 to 256, or "all", got 300.',
        ),
        (
            {"endpoint_ms": 50},
            "endpoint_ms must be a whole number from 100 to 10000 ms, or 0, got 50.",
        ),
        (
            {"max_segment_ms": 40_000},
            "max_segment_ms must be a whole number from 5000 to 30000 ms, got 40000.",
        ),
        ({"vad_threshold": 2}, "vad_threshold must be a number from 0.05 to 0.95, got 2."),
        ({"partials": []}, "partials must be true or false, got a list."),
        (
            {"encoding": "mp3"},
            "encoding must be one of pcm_s16le, pcm_f32le, mulaw, alaw, opus, container, "
            'got "mp3".',
        ),
    ],
)
def test_a_refusal_is_one_sentence_with_the_allowed_range(
    raw: dict[str, Any], sentence: str
) -> None:
    assert refusal(**raw) == sentence


def test_an_unknown_option_is_refused_by_name_with_the_known_ones() -> None:
    message = refusal(samplerate=16_000)

    assert message.startswith('"samplerate" is not an option; known are encoding, sample_rate, ')


def test_format_belongs_to_the_connection() -> None:
    assert "when connecting" in refusal(format="json")


@pytest.mark.parametrize("name", RESUMING)
def test_what_resumes_a_session_belongs_to_the_connection(name: str) -> None:
    assert "when connecting" in refusal(**{name: "1"})


@pytest.mark.parametrize(("value", "wanted"), [("false", False), ("true", True), (True, True)])
def test_whether_words_can_be_had_is_the_models_to_say(value: object, wanted: bool) -> None:
    assert parse(words=value).words is wanted


def test_of_several_wrong_options_the_clients_first_is_named() -> None:
    assert refusal(channels=9, sample_rate=1).startswith("channels ")
    assert refusal(sample_rate=1, channels=9).startswith("sample_rate ")
    assert refusal(nonsense=1, channels=9).startswith('"nonsense" ')


def test_what_is_not_given_stays_as_it_was() -> None:
    base = parse(sample_rate=8000, encoding="alaw")

    result = parse_options({"sample_rate": 24_000}, max_segment_ms=LIMIT_MS, base=base)

    assert (result.sample_rate, result.encoding) == (24_000, "alaw")


def test_a_model_with_short_segments_shortens_the_default() -> None:
    assert parse_options({}, max_segment_ms=20_000).max_segment_ms == 20_000
    assert parse_options({}, max_segment_ms=20_000, base=parse()).max_segment_ms == 20_000


@pytest.mark.parametrize(
    ("name", "value"), [("language", "de"), ("context", "Ada"), ("endpoint_ms", 0)]
)
def test_few_options_may_change_later(name: str, value: object) -> None:
    current = parse(sample_rate=8000)

    result = update_options(current, {name: value}, max_segment_ms=LIMIT_MS)

    assert result.model_dump() == {**current.model_dump(), name: value}


@pytest.mark.parametrize(
    "name",
    sorted({*SessionOptions.model_fields} - {"language", "context", "endpoint_ms", "partials"}),
)
def test_the_others_can_only_be_set_before_audio(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"^{name} can only be set before audio"):
        update_options(parse(), {name: getattr(parse(), name)}, max_segment_ms=LIMIT_MS)


def test_a_later_change_is_judged_as_the_first_was() -> None:
    with pytest.raises(InvalidOption, match=r"^endpoint_ms must be"):
        update_options(parse(), {"endpoint_ms": -1}, max_segment_ms=LIMIT_MS)
    with pytest.raises(InvalidOption, match="is not an option"):
        update_options(parse(), {"x": 1}, max_segment_ms=LIMIT_MS)
    with pytest.raises(InvalidOption, match="can only be set before audio"):
        update_options(parse(), {"encoding": "opus"}, max_segment_ms=LIMIT_MS)


def test_options_cannot_be_built_wrong_or_changed_from_inside_either() -> None:
    with pytest.raises(ValidationError):
        SessionOptions(sample_rate=1)
    with pytest.raises(ValidationError):
        SessionOptions(nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        SessionOptions().channels = 2  # type: ignore[misc]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(sorted(SessionOptions.model_fields)) | st.text()


def outcome(parsed: Callable[[], SessionOptions]) -> SessionOptions | GatewayError:
    try:
        return parsed()
    except GatewayError as error:
        return error


@given(st.dictionaries(names, anything))
def test_anything_gives_options_or_one_of_our_errors(raw: dict[str, Any]) -> None:
    for result in (
        outcome(lambda: parse_options(raw, max_segment_ms=LIMIT_MS)),
        outcome(lambda: update_options(SessionOptions(), raw, max_segment_ms=LIMIT_MS)),
    ):
        if isinstance(result, SessionOptions):
            assert SessionOptions(**result.model_dump()) == result
        else:
            assert isinstance(result, InvalidOption | Unsupported)
            result.message.encode()  # fit for a socket


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "sample_rate": st.integers(8000, 96_000),
            "channels": st.integers(1, 2),
            "chunk_ms": st.integers(500, 8000) | st.just("auto"),
            "rollback_tokens": st.integers(0, 256) | st.just("all"),
            "partials": st.booleans(),
            "endpoint_ms": st.just(0) | st.integers(100, 10_000),
            "vad_threshold": st.decimals(min_value="0.05", max_value="0.95", places=3).map(float),
        },
    )
)
def test_text_and_native_values_mean_the_same(raw: dict[str, Any]) -> None:
    assert parse(**raw) == parse(**{name: str(value) for name, value in raw.items()})
