"""The configuration of an OpenAI Realtime transcription session, as it is in force. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.messages import ModelInfo
from gateway.audio import frame_bytes
from gateway.wire.options import Encoding

SNAPSHOT = "scribewire.snapshot"
"""Of ``include``: an extension for clients that can replace text."""

DELAYS: Mapping[str, tuple[int, int | str]] = {
    "minimal": (500, 5),
    "low": (1000, 10),
    "medium": (2000, 10),
    "high": (2000, 20),
    "xhigh": (2000, "all"),
}
"""``delay`` as `chunk_ms` and `rollback_tokens`: when text comes, and how sure it is by then.

Deltas cannot be taken back, so they wait longer than the native protocol's stable text.
"""

DEFAULT_SILENCE_MS = 500
"""The vendor's."""

G711: Mapping[str, Encoding] = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}


@dataclass(frozen=True, slots=True)
class Config:
    """What is in force. ``silence_ms`` None: no turn detection, the client commits."""

    encoding: Encoding = "pcm_s16le"
    rate: int = 24_000
    language: str | None = None
    prompt: str = ""
    keywords: tuple[str, ...] = ()
    delay: str = "medium"
    threshold: float = 0.5
    padding_ms: int = 300
    silence_ms: int | None = DEFAULT_SILENCE_MS
    snapshots: bool = False

    @property
    def frame_bytes(self) -> int:
        """Bytes of a sample."""
        return frame_bytes(self.encoding, channels=1)

    @property
    def context(self) -> str:
        """Prompt and keywords as the model gets them."""
        return "\n".join(filter(None, (self.prompt, ", ".join(self.keywords))))

    def fixed(self) -> dict[str, Any]:
        """Session options that cannot change once there is audio."""
        return {
            "encoding": self.encoding,
            "sample_rate": self.rate,
            "chunk_ms": DELAYS[self.delay][0],
            "rollback_tokens": DELAYS[self.delay][1],
            "vad_threshold": self.threshold,
            "vad_padding_ms": self.padding_ms,
        }

    def flexible(self) -> dict[str, Any]:
        """Session options that can change at any time."""
        return {
            "language": self.language,
            "context": self.context,
            "endpoint_ms": self.silence_ms or 0,
        }


FIXED_FIELDS = {
    "encoding": "format",
    "sample_rate": "format",
    "chunk_ms": "transcription.delay",
    "rollback_tokens": "transcription.delay",
    "vad_threshold": "turn_detection.threshold",
    "vad_padding_ms": "turn_detection.prefix_padding_ms",
}
"""Where clients set what `Config.fixed` says."""


def ga_form(config: Config, model: ModelInfo) -> dict[str, Any]:
    """The configuration as ``session.created`` and ``session.updated`` tell it."""
    return {
        "type": "transcription",
        "audio": {
            "input": {
                "format": _format_map(config),
                "noise_reduction": None,
                "transcription": {
                    **_transcription_map(config, model),
                    "keywords": list(config.keywords) if model.context else [],
                    "delay": config.delay,
                },
                "turn_detection": _turn_detection_map(config),
            }
        },
        "include": [SNAPSHOT] if config.snapshots else [],
    }


def beta_form(config: Config, model: ModelInfo) -> dict[str, Any]:
    """The configuration as ``transcription_session.created`` and ``….updated`` tell it."""
    names = {"mulaw": "g711_ulaw", "alaw": "g711_alaw"}
    return {
        "input_audio_format": names.get(config.encoding, "pcm16"),
        "input_audio_noise_reduction": None,
        "input_audio_transcription": _transcription_map(config, model),
        "turn_detection": _turn_detection_map(config),
        "modalities": ["text"],
        "include": [SNAPSHOT] if config.snapshots else [],
    }


def _format_map(config: Config) -> dict[str, Any]:
    for name, encoding in G711.items():
        if encoding == config.encoding:
            return {"type": name}
    return {"type": "audio/pcm", "rate": config.rate}


def _transcription_map(config: Config, model: ModelInfo) -> dict[str, Any]:
    prompt = config.prompt if model.context else ""
    return {"model": model.name, "language": config.language, "prompt": prompt}


def _turn_detection_map(config: Config) -> dict[str, Any] | None:
    if config.silence_ms is None:
        return None
    return {
        "type": "server_vad",
        "threshold": config.threshold,
        "prefix_padding_ms": config.padding_ms,
        "silence_duration_ms": config.silence_ms,
    }
