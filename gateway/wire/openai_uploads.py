"""The fields of OpenAI's ``POST /v1/audio/transcriptions``, with what vLLM and SGLang add. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, cast, get_args

from gateway.errors import GatewayError, InvalidOption, Unsupported, quoted
from gateway.wire.options import Choice, Flag, Number, Rule, Text, rule_of

ResponseFormat = Literal["json", "text", "srt", "vtt", "verbose_json"]

MAX_PREFIX_CHARS = 2000

_HARMLESS = frozenset(
    {
        "seed", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty",
        "presence_penalty", "user", "stream_include_usage", "stream_continuous_usage_stats",
    }
)  # fmt: skip
"""How to draw lots, which greedy decoding never does, and what to add that is there anyway."""
_UNAVAILABLE = {
    "include": "token probabilities are not told: leave it out",
    "known_speaker_names": "speakers are not told apart: leave it out",
    "known_speaker_references": "speakers are not told apart: leave it out",
    "to_language": "nothing is translated: leave it out",
}
_VAD = {
    "threshold": "vad_threshold",
    "prefix_padding_ms": "vad_padding_ms",
    "silence_duration_ms": "endpoint_ms",
}
_FORMATS = get_args(ResponseFormat)
_OF_THE_FILE = frozenset({"encoding", "sample_rate", "channels", "partials", "words"})
_MANY = frozenset({"timestamp_granularities", "languages", "keywords"})


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What is asked of an upload, beside the file."""

    response_format: ResponseFormat
    stream: bool
    """Whether text is sent as it becomes stable."""
    words: bool
    """Whether the times of words are wanted."""
    prefix: str
    """What the client knows of the transcript already; the answer goes on behind it."""
    options: Mapping[str, Any]
    """Of the session, for `options.parse_options`: those that were asked for."""

    def with_fixed(self, options: Mapping[str, Any]) -> "UploadRequest":
        """The request with a token's options, of which a file itself settles some."""
        fixed = {name: value for name, value in options.items() if name not in _OF_THE_FILE}
        return replace(self, options={**self.options, **fixed})

    @property
    def session_options(self) -> Mapping[str, Any]:
        """All of the session's, for `options.parse_options`."""
        return {**self.options, "partials": self.stream, "words": self.words}


def read_request(fields: Sequence[tuple[str, str]]) -> UploadRequest:
    """The request of a form's fields, in any order; empty ones count as not there.

    Raises:
        InvalidOption: a field is missing, unknown, given twice or has a wrong value; it is named.
        Unsupported: a known field asks for what there is not here, and would be missed.
    """
    given = _by_name(fields)
    if not given.pop("model", None):
        raise InvalidOption(
            "model is missing: give the name that GET /v1/models lists, or any.", param="model"
        )
    stream = bool(_value(given, "stream", Flag(), False))
    format = cast(ResponseFormat, _format(given, stream))
    words = _granularities(given, format)
    prefix = _prefix(given)
    _value(given, "temperature", Number(0, 2), 0)
    options = _session_options(given)
    if prefix:
        options["endpoint_ms"] = 0  # it stands for all the words so far, so for one segment
    for name in given:
        if name not in _HARMLESS:
            _refuse(name)
    return UploadRequest(format, stream, words, prefix, options)


def _by_name(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in fields:
        name = name.removesuffix("[]")
        if not value:
            continue
        if name in _MANY:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise InvalidOption(f"{name} is given twice: give it once.", param=name)
        else:
            given[name] = value
    return given


def _refuse(name: str) -> NoReturn:
    if name in _UNAVAILABLE:
        raise Unsupported(f"{name} is not available: {_UNAVAILABLE[name]}.", param=name)
    raise InvalidOption(f"{quoted(name)} is not a field of this request.", param=name)


def _value(given: dict[str, Any], name: str, rule: Rule, default: object) -> Any:
    """Takes a field out of ``given``."""
    if name not in given:
        return default
    value = given.pop(name)
    try:
        return rule(value)
    except ValueError:
        raise InvalidOption(f"{name} must be {rule}, got {quoted(value)}.", param=name) from None


def _format(given: dict[str, Any], stream: bool) -> str:
    if given.get("response_format") == "diarized_json":
        raise Unsupported(
            "diarized_json is not available: speakers are not told apart; take verbose_json.",
            param="response_format",
        )
    format: str = _value(given, "response_format", Choice(_FORMATS), "json")
    if stream and format not in ("json", "text"):
        raise Unsupported(
            f"{format} cannot be streamed, as it tells what is known at the end only: "
            "leave response_format out, or stream.",
            param="response_format",
        )
    return format


def _granularities(given: dict[str, Any], format: str) -> bool:
    """Whether the times of words are wanted; those of segments need no asking."""
    name = "timestamp_granularities"
    for value in (wanted := given.pop(name, [])):
        _value({name: value}, name, Choice(("word", "segment")), None)
    if "word" in wanted and format != "verbose_json":
        raise InvalidOption(
            "timestamp_granularities word needs response_format verbose_json.", param=name
        )
    return "word" in wanted


def _prefix(given: dict[str, Any]) -> str:
    """vLLM's ``response_prefix``, SGLang's ``prefix``."""
    names = [name for name in ("response_prefix", "prefix") if name in given]
    if len(names) == 2:
        raise InvalidOption("prefix and response_prefix are the same: give one.", param="prefix")
    prefix = ""
    for name in names:
        prefix = _value(given, name, Text(MAX_PREFIX_CHARS), "")
    return prefix if prefix.strip() else ""


def _session_options(given: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    language = _value(given, "language", rule_of("language"), None)
    languages = given.pop("languages", [])
    if language is None and len(languages) == 1:  # of several the model finds the right one
        language = _value({"languages": languages[0]}, "languages", rule_of("language"), None)
    if language is not None:
        options["language"] = language
    prompt = _value(given, "prompt", rule_of("context"), "")
    expected = [prompt, *given.pop("keywords", [])]
    if context := ", ".join(filter(None, expected)):
        options["context"] = _value({"keywords": context}, "keywords", rule_of("context"), "")
    for name, value in _chunking(given).items():
        if name not in _VAD:
            raise InvalidOption(
                f"chunking_strategy has no {quoted(name)}.", param="chunking_strategy"
            )
        options[_VAD[name]] = _value({name: value}, name, rule_of(_VAD[name]), None)
    return options


def _chunking(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of OpenAI's ``server_vad``, written as JSON or as ``chunking_strategy[NAME]``.

    Speech is always found by voice activity detection here, which is what ``auto`` asks for.
    """
    name = "chunking_strategy"
    strategy: Any = {
        key[len(name) + 1 : -1]: given.pop(key) for key in list(given) if key.startswith(f"{name}[")
    }
    whole = given.pop(name, None)
    if whole == "auto":
        return {}
    if whole is not None:
        try:
            strategy = json.loads(whole)
        except (ValueError, RecursionError):
            strategy = None
    if not strategy and whole is None:
        return {}
    if not isinstance(strategy, dict) or strategy.pop("type", None) != "server_vad":
        raise InvalidOption(f"{name} must be auto, or an object of type server_vad.", param=name)
    return strategy


def named_as_here(error: GatewayError) -> GatewayError:
    """An error about a session's option as one about the field that set it."""
    if error.param is None and error.message.startswith("language"):
        error.param = "language"
    if error.param is None and error.message.startswith("words"):
        error.message = (
            "timestamp_granularities word is not available: this server has no aligner; start it "
            "with --aligner, or ask for segment."
        )
        error.param = "timestamp_granularities"
    return error
