"""What a Deepgram live client asks for in its query, as a session's options. Pure.

An option without meaning here is accepted where ignoring it does no harm, and refused by name where
the client would rely on what it does not get.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.messages import SAMPLE_RATE, ModelInfo
from gateway.errors import InvalidOption, Unsupported, quoted
from gateway.wire.languages import known_language
from gateway.wire.options import IN_CONTAINERS, Encoding, Flag, Rule, Whole, rule_of

INTERIM_MS = 1000
"""Audio between two interim results: the vendor's pace."""
MIN_ENDPOINTING_MS = 300
"""Less, as the vendor's default of 10 ms, would cut sentences into pieces that are understood
worse: word error rate of 44 s of reading 0.076 at 200 ms, 0.059 at 300 ms."""

ENCODINGS: Mapping[str, Encoding] = {
    "linear16": "pcm_s16le",
    "linear32": "pcm_f32le",
    "mulaw": "mulaw",
    "alaw": "alaw",
    "opus": "opus",  # in Ogg, or in WebM as browsers record it
    "ogg-opus": "opus",
    "flac": "container",
}
UNDECODABLE = ("amr-nb", "amr-wb", "speex", "g729")
"""Known to the vendor only."""

_TAKEN = (
    "encoding", "sample_rate", "channels", "language", "interim_results", "endpointing",
    "utterance_end_ms", "vad_events", "keyterm", "keywords",
)  # fmt: skip
_HARMLESS = frozenset(
    {
        "model", "version", "tier", "tag", "extra", "mip_opt_out", "language_hint", "no_delay",
        # The model writes punctuation, numbers and fillers as it has learned to.
        "punctuate", "smart_format", "numerals", "measurements", "filler_words",
    }
)  # fmt: skip
_MISLEADING = {
    "alternatives": "there is one transcript",
    "callback": "results are sent over this connection",
    "callback_method": "results are sent over this connection",
    "detect_entities": "no entities are found",
    "diarize": "speakers are not told apart",
    "diarize_model": "speakers are not told apart",
    "dictation": "spoken commands stay words",
    "multichannel": "channels are mixed down",
    "profanity_filter": "nothing is taken out of the text",
    "redact": "nothing is taken out of the text",
    "replace": "nothing is replaced in the text",
    "search": "nothing is searched for",
}
_OFF = {"alternatives": ("", "1")}
"""Values of `_MISLEADING` options that ask for nothing, where they are not these two:"""
_OFF_FLAG = ("", "false")
_REPEATED = frozenset({"keyterm", "keywords", "tag", "extra", "language_hint"})


@dataclass(frozen=True, slots=True)
class Listening:
    """What was asked for: the session's ``options``, and what only the codec must know."""

    options: Mapping[str, Any]
    vad_events: bool = False


def read_query(query: Sequence[tuple[str, str]], model: ModelInfo) -> Listening:
    """What a query asks for.

    Raises:
        InvalidOption, Unsupported: names the first option that is wrong or not available.
    """
    given: dict[str, str] = {}
    for name, value in query:
        _refuse_unavailable(name, value)
        if name in given and name not in _REPEATED:
            raise InvalidOption(f"{name} is given more than once.", param=name)
        given[name] = value
    interim = _chosen(given, "interim_results", Flag(), False)
    encoding = _encoding(given.get("encoding"))
    options = {
        "encoding": encoding,
        # Nobody asks a container for it; but where it is given, it must be one.
        "sample_rate": _sample_rate(given, SAMPLE_RATE if encoding in IN_CONTAINERS else None),
        "channels": _chosen(given, "channels", rule_of("channels"), 1),
        "language": _language(given.get("language"), model),
        "context": context_of([v for n, v in query if n in ("keyterm", "keywords")]),
        "chunk_ms": INTERIM_MS,
        "partials": interim,
        "endpoint_ms": _endpoint_ms(given),
        "utterance_end_ms": _utterance_end_ms(given, interim),
        "words": model.words,
    }
    return Listening(options, _chosen(given, "vad_events", Flag(), False))


def context_of(terms: Sequence[object]) -> str:
    """Terms as the model's context; an intensifier ("okapi:2") is left out.

    Raises:
        InvalidOption: they are no texts, or too long together.
    """
    words = []
    for term in terms:
        if not isinstance(term, str):
            raise InvalidOption(f"A keyterm must be text, got {quoted(term)}.", param="keyterm")
        word, colon, weight = term.rpartition(":")
        words.append(word if colon and _is_number(weight) else term)
    try:
        return str(rule_of("context")(", ".join(words)))
    except ValueError:
        raise InvalidOption(
            f"All keyterms together must be {rule_of('context')}.", param="keyterm"
        ) from None


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def _refuse_unavailable(name: str, value: str) -> None:
    if name in _TAKEN or name in _HARMLESS:
        return
    why = _MISLEADING.get(name)
    if why is None:
        known = ", ".join(_TAKEN)
        raise InvalidOption(f"{quoted(name)} is not an option; known are {known}.", param=name)
    if value.lower() not in _OFF.get(name, _OFF_FLAG):
        raise Unsupported(f"{name} is not available, {why}: leave it out.", param=name)


def _encoding(name: str | None) -> Encoding:
    """Without a name audio comes in a container, which says itself what is in it."""
    if name is None:
        return "container"
    known = ", ".join(ENCODINGS)
    if name in UNDECODABLE:
        raise Unsupported(f"encoding {name} is not decoded: send {known}.", param="encoding")
    if name not in ENCODINGS:
        raise InvalidOption(
            f"encoding must be one of {known}, got {quoted(name)}.", param="encoding"
        )
    return ENCODINGS[name]


def _sample_rate(given: Mapping[str, str], default: int | None) -> int:
    if default is None and "sample_rate" not in given:
        raise InvalidOption(
            f"sample_rate must be given with encoding {given['encoding']}.", param="sample_rate"
        )
    rate: int = _chosen(given, "sample_rate", rule_of("sample_rate"), default)
    return rate


def _language(tag: str | None, model: ModelInfo) -> str | None:
    if tag is None or tag in ("multi", "auto"):
        return None
    return known_language(tag, model, "language")


def _endpoint_ms(given: Mapping[str, str]) -> int:
    value = given.get("endpointing", "true").lower()
    if value == "false":
        return 0
    if value == "true":
        return MIN_ENDPOINTING_MS
    wanted: int = _chosen(given, "endpointing", Whole(0, 10_000, " ms", also=("false",)), 0)
    return max(wanted, MIN_ENDPOINTING_MS)


def _utterance_end_ms(given: Mapping[str, str], interim: bool) -> int:
    silence_ms: int = _chosen(given, "utterance_end_ms", rule_of("utterance_end_ms"), 0)
    if silence_ms and not interim:
        raise InvalidOption(
            "utterance_end_ms needs interim_results=true.", param="utterance_end_ms"
        )
    return silence_ms


def _chosen(given: Mapping[str, str], name: str, rule: Rule, default: object) -> Any:
    if name not in given:
        return default
    try:
        return rule(given[name])
    except ValueError:
        raise InvalidOption(
            f"{name} must be {rule}, got {quoted(given[name])}.", param=name
        ) from None
