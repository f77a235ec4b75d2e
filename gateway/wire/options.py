"""The options of a session: names, defaults, ranges, and the one sentence that refuses a bad one.

Values come as text (query parameters) or as native JSON or msgpack values; both are accepted for
every option. One table of rules feeds parsing, the model's own validation and the refusals.
"""

import re
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from gateway.errors import InvalidOption, quoted
from gateway.wire.resuming import RESUMING

Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "opus", "container"]
IN_CONTAINERS: Set[Encoding] = {"opus", "container"}
"""Recordings that say themselves what they are: see `gateway.media`. The first is the name for
what browsers record."""

MIN_SEGMENT_MS = 5000
SETTABLE_LATER = frozenset({"language", "context", "endpoint_ms", "partials"})

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_DECIMAL_NUMBER = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]{0,17})?|\.[0-9]{1,17})", re.ASCII)
# Not text in UTF-8, so neither the model's tokenizer nor a socket could take it.
_UNUSABLE_TEXT = re.compile("[\0\ud800-\udfff]")


class Rule(Protocol):
    """Turns what came into an option's value; its text completes "NAME must be …"."""

    def __call__(self, value: object) -> object:
        """The option's value.

        Raises:
            ValueError: not a value of this rule; says nothing, as `str` of the rule says it all.
        """


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``low`` to ``high``, or one of a few values beside."""

    low: int
    high: int
    unit: str = ""
    also: tuple[int | str, ...] = ()

    def __str__(self) -> str:
        beside = "".join(f", or {quoted(value)}" for value in self.also)
        return f"a whole number from {self.low} to {self.high}{self.unit}{beside}"

    def __call__(self, value: object) -> int | str:
        if isinstance(value, str) and value in self.also:
            return value
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
            value = int(value)
        # Some clients' numbers are all floats, on the wire too.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        if value not in self.also and not self.low <= value <= self.high:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number from ``low`` to ``high``."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def __call__(self, value: object) -> float:
        if isinstance(value, str) and _DECIMAL_NUMBER.fullmatch(value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError
        # NaN compares false; a huge int has no float, so it is converted only when in range.
        if not self.low <= value <= self.high:
            raise ValueError
        return float(value)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def __str__(self) -> str:
        return "true or false"

    def __call__(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "1"):
            return True
        if isinstance(value, str) and value.lower() in ("false", "0"):
            return False
        raise ValueError


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few names."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"

    def __call__(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.names:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """Text of so many characters (code points) that can be written as UTF-8."""

    max_chars: int

    def __str__(self) -> str:
        return f"text of at most {self.max_chars} characters, without null characters"

    def __call__(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > self.max_chars:
            raise ValueError
        if _UNUSABLE_TEXT.search(value):
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Language:
    """A language's code or name; whether the model knows it is the model's to say."""

    max_chars: int

    def __str__(self) -> str:
        return f'a language code or name of 1 to {self.max_chars} characters, or "auto"'

    def __call__(self, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= self.max_chars:
            raise ValueError
        if not value.isprintable() or value.isspace():
            raise ValueError
        return None if value.lower() == "auto" else value


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "encoding": Choice(get_args(Encoding)),
        "sample_rate": Whole(8000, 96_000, " Hz"),
        "channels": Whole(1, 2),
        "language": Language(64),
        "context": Text(2000),
        "chunk_ms": Whole(500, 8000, " ms", also=("auto",)),
        "rollback_tokens": Whole(0, 256, also=("all",)),
        "cold_chunks": Whole(0, 64),
        "partials": Flag(),
        "endpoint_ms": Whole(100, 10_000, " ms", also=(0,)),
        "utterance_end_ms": Whole(100, 10_000, " ms", also=(0,)),
        # The upper bound is the model's, and known to parse_options only.
        "max_segment_ms": Whole(MIN_SEGMENT_MS, 3_600_000, " ms"),
        "vad_threshold": Number(0.05, 0.95),
        "vad_padding_ms": Whole(0, 2000, " ms"),
        "words": Flag(),
        "stream_tokens": Flag(),
    }
)


class SessionOptions(BaseModel):
    """Options in force. Build from outside values with `parse_options`, which refuses politely.

    ``language`` None: the model decides. ``endpoint_ms`` 0: silence never ends a segment;
    ``utterance_end_ms`` 0: no `UtteranceEnded`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Encoding = "pcm_s16le"
    sample_rate: int = 16_000
    channels: Literal[1, 2] = 1
    language: str | None = None
    context: str = ""
    chunk_ms: int | Literal["auto"] = 2000
    rollback_tokens: int | Literal["all"] = 5
    cold_chunks: int = 2
    partials: bool = True
    endpoint_ms: int = 600
    utterance_end_ms: int = 0
    max_segment_ms: int = 28_000
    vad_threshold: float = 0.5
    vad_padding_ms: int = 300
    words: bool = False
    stream_tokens: bool = False

    @field_validator("*", mode="before")
    @classmethod
    def _by_rule(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None
        return _RULES[info.field_name](value)


def rule_of(option: str) -> Rule:
    """What values an option may have, for protocols that have another name for it."""
    return _RULES[option]


def parse_options(
    raw: Mapping[str, Any], *, max_segment_ms: int, base: SessionOptions | None = None
) -> SessionOptions:
    """The options that ``raw`` asks for, the rest as in ``base`` or by default.

    Args:
        raw: options by name; text or native values.
        max_segment_ms: the longest segment that the model takes; caps the default and ``base``.
        base: what was set before.

    Raises:
        InvalidOption: names the first wrong option, in the order of ``raw``.
        Unsupported: the option is known but not available; same order.
    """
    assert max_segment_ms >= MIN_SEGMENT_MS
    return _merged(raw, base or SessionOptions(), max_segment_ms, settable=_RULES.keys())


def update_options(
    current: SessionOptions, raw: Mapping[str, Any], *, max_segment_ms: int
) -> SessionOptions:
    """The options after a change while audio flows, which only a few of them allow.

    Raises:
        InvalidOption: names the first option that is wrong or can only be set before audio.
        Unsupported: the option is known but not available.
    """
    return _merged(raw, current, max_segment_ms, settable=SETTABLE_LATER)


def _merged(
    raw: Mapping[str, Any], base: SessionOptions, max_segment_ms: int, settable: Collection[str]
) -> SessionOptions:
    rules = {**_RULES, "max_segment_ms": Whole(MIN_SEGMENT_MS, max_segment_ms, " ms")}
    # Defaults know nothing of the model; what was asked for and is too long is refused below.
    changed: dict[str, Any] = {"max_segment_ms": min(base.max_segment_ms, max_segment_ms)}
    for name, value in raw.items():
        _refuse_unavailable(name, value)
        rule = rules.get(name)
        if rule is None:
            raise InvalidOption(f"{quoted(name)} is not an option; known are {', '.join(rules)}.")
        if name not in settable:
            raise InvalidOption(f"{name} can only be set before audio.")
        try:
            changed[name] = rule(value)
        except ValueError:
            raise InvalidOption(f"{name} must be {rule}, got {quoted(value)}.") from None
    return SessionOptions(**{**base.model_dump(), **changed})


def _refuse_unavailable(name: str, value: object) -> None:
    if name in RESUMING:
        raise InvalidOption(f"{name} can only be given when connecting, as a query parameter.")
    if name == "format":
        raise InvalidOption("format is chosen when connecting, by ?format= or a subprotocol.")
