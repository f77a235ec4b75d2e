"""Fields of an upload to what the session is asked for."""

import pytest

from gateway.errors import InvalidOption, Unsupported
from gateway.wire.openai_uploads import UploadRequest, read_request

MODEL = ("model", "whisper-1")


def read(*fields: tuple[str, str]) -> UploadRequest:
    return read_request([MODEL, *fields])


def test_a_model_is_all_that_is_needed() -> None:
    request = read()

    assert (request.response_format, request.stream, request.prefix) == ("json", False, "")
    assert request.options == {}
    assert request.session_options == {"partials": False, "words": False}


def test_what_openais_client_sends_is_understood() -> None:
    request = read(
        ("language", "en"), ("prompt", "Scribewire"), ("response_format", "verbose_json"),
        ("temperature", "0"), ("timestamp_granularities[]", "segment"),
        ("timestamp_granularities[]", "word"), ("keywords[]", "Ödön"), ("keywords[]", "数字"),
        ("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.3"),
        ("chunking_strategy[prefix_padding_ms]", "200"),
        ("chunking_strategy[silence_duration_ms]", "800"), ("seed", "7"),
    )  # fmt: skip

    assert request.response_format == "verbose_json"
    assert request.words
    assert request.options == {
        "language": "en", "context": "Scribewire, Ödön, 数字",
        "vad_threshold": 0.3, "vad_padding_ms": 200, "endpoint_ms": 800,
    }  # fmt: skip


def test_streaming_wants_partials() -> None:
    assert read(("stream", "true")).session_options["partials"] is True
    assert read(("stream", "false")).stream is False


@pytest.mark.parametrize("name", ["prefix", "response_prefix"])
def test_a_prefix_makes_all_of_it_one_segment(name: str) -> None:
    request = read((name, "Ever tried. "))

    assert request.prefix == "Ever tried. "
    assert request.options["endpoint_ms"] == 0


@pytest.mark.parametrize(("languages", "taken"), [(["de"], "de"), (["de", "en"], None), ([], None)])
def test_of_several_languages_the_model_finds_the_right_one(
    languages: list[str], taken: str | None
) -> None:
    assert read(*(("languages[]", each) for each in languages)).options.get("language") == taken


@pytest.mark.parametrize(
    ("strategy", "endpoint"),
    [("auto", None), ('{"type": "server_vad", "silence_duration_ms": 300}', 300)],
)
def test_a_chunking_strategy_may_be_one_field(strategy: str, endpoint: int | None) -> None:
    assert read(("chunking_strategy", strategy)).options.get("endpoint_ms") == endpoint


def test_what_a_token_fixes_holds_but_for_what_a_file_settles() -> None:
    fixed = {"language": "en", "sample_rate": 8000, "partials": False}
    request = read(("language", "de"), ("prompt", "okapi"), ("stream", "true")).with_fixed(fixed)

    assert request.session_options == {
        "language": "en", "context": "okapi", "partials": True, "words": False,
    }  # fmt: skip


def test_empty_fields_count_as_not_there() -> None:
    assert read(("language", ""), ("prefix", "  "), ("temperature", "")) == read()


@pytest.mark.parametrize(
    ("field", "param", "words"),
    [
        (("response_format", "xml"), "response_format", "must be one of json, text"),
        (("stream", "yes"), "stream", "must be true or false"),
        (("temperature", "hot"), "temperature", "must be a number from 0 to 2"),
        (("temperature", "3"), "temperature", "must be a number from 0 to 2"),
        (("language", "x" * 65), "language", "must be a language code"),
        (("prompt", "x" * 2001), "prompt", "at most 2000 characters"),
        (("keywords[]", "x" * 2001), "keywords", "at most 2000 characters"),
        (("prefix", "x" * 2001), "prefix", "at most 2000 characters"),
        (("timestamp_granularities[]", "line"), "timestamp_granularities", "one of word, segment"),
        (("timestamp_granularities[]", "word"), "timestamp_granularities", "needs response_format"),
        (("chunking_strategy", "big"), "chunking_strategy", "must be auto, or an object"),
        (("chunking_strategy", "[" * 9999), "chunking_strategy", "must be auto, or an object"),
        (("chunking_strategy[size]", "1"), "chunking_strategy", "must be auto, or an object"),
        (
            ("chunking_strategy", '{"type": "server_vad", "size": 1}'),
            "chunking_strategy", 'has no "size"',
        ),
        (
            ("chunking_strategy", '{"type": "server_vad", "threshold": 9}'),
            "threshold", "must be a number from 0.05 to 0.95",
        ),
        (("speed", "2"), "speed", '"speed" is not a field'),
        (("model", "another"), "model", "is given twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(field: tuple[str, str], param: str, words: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        read(field)

    assert refusal.value.param == param
    assert words in refusal.value.message


def test_a_request_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidOption, match="model is missing"):
        read_request([("language", "en")])


def test_two_prefixes_are_one_too_many() -> None:
    with pytest.raises(InvalidOption, match="give one"):
        read(("prefix", "a"), ("response_prefix", "b"))


@pytest.mark.parametrize(
    "fields",
    [
        [("include[]", "logprobs")],
        [("known_speaker_names[]", "Ödön")],
        [("response_format", "diarized_json")],
        [("to_language", "de")],
        [("stream", "true"), ("response_format", "srt")],
        [("stream", "true"), ("response_format", "verbose_json")],
    ],
)
def test_what_would_be_missed_is_refused_not_ignored(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(Unsupported) as refusal:
        read(*fields)

    assert refusal.value.param == fields[-1][0].removesuffix("[]")
