"""How an OpenAI Realtime client changes its configuration, in both of its forms. Pure.

The GA form nests (``audio.input.format`` …), the older one is flat (``input_audio_format`` …).
What is not available is refused by the name that the client used; what has no effect is accepted,
and not among what is shown to be in force.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from engine.messages import ModelInfo
from gateway.errors import InvalidOption, Unsupported, quoted
from gateway.wire.languages import known_language
from gateway.wire.openai_config import (
    DEFAULT_SILENCE_MS,
    DELAYS,
    FIXED_FIELDS,
    G711,
    SNAPSHOT,
    Config,
)
from gateway.wire.options import Choice, Flag, Number, Rule, Text, Whole, rule_of

EAGERNESS = {"high": 400, "medium": 600, "auto": 600, "low": 1000}
"""``eagerness`` of semantic_vad, which is served by silence: as `endpoint_ms`."""

_BETA_FORMATS: Mapping[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24_000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_ECHOED = ("id", "object", "expires_at", "client_secret")
"""Fields that some clients send back as they got them."""


def update_ga(config: Config, session: object, model: ModelInfo) -> Config:
    """The configuration after ``session.update``; only fields that are present change.

    Raises:
        InvalidOption, Unsupported: names the first field that is wrong.
    """
    fields = _fields(session, "session", ("type", "audio", "include", *_ECHOED))
    if fields.get("type", "transcription") != "transcription":
        raise Unsupported(
            "session.type must be transcription: there are no conversations here.",
            param="session.type",
        )
    audio = _fields(fields.get("audio"), "session.audio", ("input",))
    names = ("format", "noise_reduction", "transcription", "turn_detection")
    path = "session.audio.input"
    return _update(
        config,
        {(name, f"{path}.{name}"): value for name, value in _given(audio.get("input"), path, names)}
        | _included(fields),
        model,
    )


def update_beta(config: Config, session: object, model: ModelInfo) -> Config:
    """The configuration after ``transcription_session.update``; likewise.

    Raises:
        InvalidOption, Unsupported: names the first field that is wrong.
    """
    names = {
        "input_audio_format": "format",
        "input_audio_noise_reduction": "noise_reduction",
        "input_audio_transcription": "transcription",
        "turn_detection": "turn_detection",
    }
    given = _given(session, "session", (*names, "include", "modalities", *_ECHOED))
    fields = dict(given)
    changes = {(names[n], f"session.{n}"): value for n, value in given if n in names}
    if "input_audio_format" in fields:
        value = fields["input_audio_format"]
        path = "session.input_audio_format"
        form = _chosen(value, Choice(tuple(_BETA_FORMATS)), path)
        changes["format", path] = _BETA_FORMATS[form]
    return _update(config, changes | _included(fields), model)


def _included(fields: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    return {("include", "session.include"): fields["include"]} if "include" in fields else {}


def _update(config: Config, changes: Mapping[tuple[str, str], Any], model: ModelInfo) -> Config:
    for (kind, path), value in changes.items():
        match kind:
            case "format":
                config = _format(config, value, path)
            case "noise_reduction":
                _fields(value, path, ("type", "strength"))  # none is done, and none is shown
            case "transcription":
                config = _transcription(config, value, path, model)
            case "turn_detection":
                config = _turn_detection(config, value, path)
            case "include":
                config = _include(config, value, path)
    return config


def _format(config: Config, value: Any, path: str) -> Config:
    fields = _fields(value, path, ("type", "rate"))
    kind = fields.get("type", "audio/pcm")
    if kind in ("audio/pcm", "pcm"):
        rate = _chosen(fields.get("rate", 24_000), rule_of("sample_rate"), f"{path}.rate")
        return replace(config, encoding="pcm_s16le", rate=rate)
    name = _chosen(kind, Choice(("audio/pcm", *G711)), f"{path}.type")
    if fields.get("rate", 8000) != 8000:
        raise InvalidOption(f"{path}.rate of {name} is always 8000.", param=f"{path}.rate")
    return replace(config, encoding=G711[name], rate=8000)


def _transcription(config: Config, value: Any, path: str, model: ModelInfo) -> Config:
    if value is None:
        raise Unsupported(f"{path} cannot be null: transcription is all there is.", param=path)
    names = ("model", "language", "languages", "prompt", "keywords", "delay")
    for name, each in _given(value, path, names):
        at = f"{path}.{name}"
        match name:
            case "model":  # whatever it is, the server has its own
                _chosen(each or "", Text(256), at)
            case "language":
                language = known_language(each, model, at) if each else None
                config = replace(config, language=language)
            case "languages":
                codes = {known_language(one, model, at) for one in _list(each or [], at)}
                config = replace(config, language=codes.pop() if len(codes) == 1 else None)
            case "prompt":
                config = replace(config, prompt=_chosen(each or "", rule_of("context"), at))
            case "keywords":
                words = tuple(_chosen(one, Text(256), at) for one in _list(each or [], at))
                config = replace(config, keywords=words)
            case "delay":
                config = replace(config, delay=_chosen(each or "medium", Choice(tuple(DELAYS)), at))
    _chosen(config.context, rule_of("context"), f"{path}.prompt with keywords")
    return config


def _turn_detection(config: Config, value: Any, path: str) -> Config:
    if value is None:
        return replace(config, silence_ms=None)
    names = ("threshold", "prefix_padding_ms", "silence_duration_ms", "eagerness")
    without_effect = ("create_response", "interrupt_response", "idle_timeout_ms")
    fields = _fields(value, path, ("type", *names, *without_effect))
    kinds = Choice(("server_vad", "semantic_vad"))
    semantic = _chosen(fields.get("type", "server_vad"), kinds, f"{path}.type") == "semantic_vad"
    if fields.get("idle_timeout_ms") is not None:
        raise Unsupported(
            f"{path}.idle_timeout_ms is not available: leave it out.",
            param=f"{path}.idle_timeout_ms",
        )
    if config.silence_ms is None:
        config = replace(config, silence_ms=DEFAULT_SILENCE_MS)
    for name, each in fields.items():
        at = f"{path}.{name}"
        if each is None:
            continue
        match name:
            case "create_response" | "interrupt_response":
                _chosen(each, Flag(), at)
            case "eagerness":
                eagerness = _chosen(each, Choice(tuple(EAGERNESS)), at)
                config = replace(config, silence_ms=EAGERNESS[eagerness])
            case "silence_duration_ms":
                config = replace(config, silence_ms=_chosen(each, Whole(100, 10_000, " ms"), at))
            case "prefix_padding_ms":
                padding_ms = _chosen(each, rule_of("vad_padding_ms"), at)
                config = replace(config, padding_ms=padding_ms)
            case "threshold":  # ours has no place for "always" and "never"
                threshold = min(max(_chosen(each, Number(0, 1), at), 0.05), 0.95)
                config = replace(config, threshold=threshold)
    if semantic and fields.get("eagerness") is None:
        config = replace(config, silence_ms=EAGERNESS["auto"])
    return config


def _include(config: Config, value: Any, path: str) -> Config:
    for each in _list(value or [], path):
        if each != SNAPSHOT:
            raise Unsupported(
                f"{path}: {quoted(each)} is not available; known is {SNAPSHOT}.", param=path
            )
    return replace(config, snapshots=bool(value))


def refuse_late(before: Config, after: Config) -> None:
    """Whether a change is possible although there is audio already.

    Raises:
        InvalidOption: it is not.
    """
    old, new = before.fixed(), after.fixed()
    for name, field in FIXED_FIELDS.items():
        if old[name] != new[name]:
            raise InvalidOption(f"{field} can only be set before audio.", param=field)


def _fields(value: object, path: str, known: Collection[str]) -> dict[str, Any]:
    """The fields of a map, all of them ``known``; none if it is null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidOption(f"{path} must be a map, got {quoted(value)}.", param=path)
    for name in value:
        if name not in known:
            raise InvalidOption(
                f"{path} has no field {quoted(name)}; known are {', '.join(known)}.", param=path
            )
    return value


def _given(value: object, path: str, known: Collection[str]) -> list[tuple[str, Any]]:
    return list(_fields(value, path, known).items())


def _list(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidOption(f"{path} must be a list, got {quoted(value)}.", param=path)
    return value


def _chosen(value: object, rule: Rule, path: str) -> Any:
    try:
        return rule(value)
    except ValueError:
        raise InvalidOption(f"{path} must be {rule}, got {quoted(value)}.", param=path) from None
