"""Transcripts of uploads as OpenAI's clients read them: whole, or as server-sent events. Pure."""

import json
import math
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.captions import Caption, to_srt, to_text, to_vtt
from gateway.errors import GatewayError
from gateway.wire.append_only import missing
from gateway.wire.messages import Final, Partial
from gateway.wire.openai_uploads import ResponseFormat

DONE_EVENT = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Transcript:
    """What came of a file; filled message by message. The client's own prefix is not in it."""

    prefix: str = ""
    finals: list[Final] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    """One for each final."""
    duration_ms: int = 0
    revised: bool = False
    """Whether what was told as new is, all together, not `text`."""
    _known: str = field(init=False, default="")
    """What the client has of the open segment: its prefix, and what it was told."""
    _told: str = field(init=False, default="")
    """What it was told of it."""

    def __post_init__(self) -> None:
        self._known = self.prefix.strip()

    def take(self, message: Partial | Final) -> str:
        """Adds a message; what of it is new to a client that can only append, perhaps nothing.

        All of that together is `text`, unless a final contradicts what was stable before.
        """
        if isinstance(message, Partial):
            return self._tell(message.stable)
        text = message.text
        if self.prefix and not self.finals:
            text = self._behind_prefix(missing(self.prefix.strip(), text))
        self.finals.append(message)
        self.captions.append(Caption(text, message.start_ms, message.end_ms))
        news = self._tell(message.text)
        self.revised |= self._told != text
        self._known = self._told = ""
        return news

    def _tell(self, text: str) -> str:
        if self._known.startswith(text):  # a prefix may be longer than what is stable yet
            return ""
        news, self._known = missing(self._known, text), text
        if not self.finals[1:] and not self._told:
            news = self._behind_prefix(news)
        self._told += news
        return news

    def _behind_prefix(self, text: str) -> str:
        """Text that follows the prefix: without a space if that ends with one."""
        return text.lstrip() if self.prefix[-1:].isspace() else text

    @property
    def text(self) -> str:
        """All of it."""
        return to_text(self.captions)


def answer(
    format: ResponseFormat, transcript: Transcript, languages: Mapping[str, str]
) -> tuple[str, str]:
    """The body of a whole answer and its media type.

    Args:
        languages: the model's, codes to English names.
    """
    match format:
        case "text":
            return transcript.text + "\n", "text/plain; charset=utf-8"
        case "srt":
            return to_srt(transcript.captions), "application/x-subrip; charset=utf-8"
        case "vtt":
            return to_vtt(transcript.captions), "text/vtt; charset=utf-8"
        case "json":
            return _json({"text": transcript.text, "usage": _usage(transcript)}), "application/json"
        case "verbose_json":
            return _json(_verbose(transcript, languages)), "application/json"


def delta_event(delta: str) -> bytes:
    """Text to append to what came before."""
    return _event({"type": "transcript.text.delta", "delta": delta})


def done_event(transcript: Transcript) -> bytes:
    """The whole text; the last event before `DONE_EVENT`.

    With ``revised``, which is ours, where a final contradicted what had been sent: it is the truth,
    and the deltas together differ from it.
    """
    event: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text}
    return _event(event | ({"revised": True} if transcript.revised else {}))


def error_event(error: GatewayError) -> bytes:
    """Why a stream that has begun ends without its last event."""
    return _event({"type": "error"} | error_body(error))


def error_body(error: GatewayError) -> dict[str, Any]:
    """OpenAI's form of an error."""
    kind = "invalid_request_error" if error.http_status < 500 else "server_error"
    if error.http_status == 429:
        kind = "rate_limit_error"
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.param,
            "code": error.code,
        }
    }


def _verbose(transcript: Transcript, languages: Mapping[str, str]) -> dict[str, Any]:
    body = {
        "task": "transcribe",
        "language": _language(transcript, languages),
        "duration": transcript.duration_ms / 1000,
        "text": transcript.text,
        "segments": [
            _segment(id, caption.text, final)
            for id, (caption, final) in enumerate(
                (caption, final)
                for caption, final in zip(transcript.captions, transcript.finals, strict=True)
                if caption.text
            )
        ],
        "usage": _usage(transcript),
    }
    if any(final.words is not None for final in transcript.finals):
        body["words"] = [
            {
                "word": word["text"],
                "start": word["start_ms"] / 1000,
                "end": word["end_ms"] / 1000,
            }
            for final in transcript.finals
            for word in final.words or ()
        ]
    return body


def _segment(id: int, text: str, final: Final) -> dict[str, Any]:
    """Whisper's fields; those that it has for its own decoding say here what is always so."""
    encoded = text.encode()
    return {
        "id": id,
        "seek": final.start_ms // 10,
        "start": final.start_ms / 1000,
        "end": final.end_ms / 1000,
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        # The mean over tokens of their log probability, as confidence is their geometric mean.
        "avg_logprob": math.log(max(final.confidence or 0.0, 1e-9)),
        "compression_ratio": len(encoded) / len(zlib.compress(encoded)),
        "no_speech_prob": 0.0,
    }


def _language(transcript: Transcript, languages: Mapping[str, str]) -> str:
    """The name of what most segments are in; empty if nothing was said."""
    heard = Counter(final.language for final in transcript.finals if final.language and final.text)
    code = heard.most_common(1)[0][0] if heard else ""
    return languages.get(code, code).lower()


def _usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(transcript.duration_ms / 1000)}


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {_json(body)}\n\n".encode()


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
