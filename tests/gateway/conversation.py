"""A session with a fake engine behind it, for tests of what a client says and is told."""

from typing import Any

import pytest

from engine import transcript as heard
from engine.messages import ModelInfo, Pcm
from engine.segment import StreamOptions
from gateway.errors import GatewayError, InvalidOption
from gateway.session import Identity, Session
from gateway.wire.messages import AudioFrame, ClientMessage, Configure
from gateway.wire.options import parse_options

MODEL = ModelInfo(
    name="fake-asr", languages={"en": "English", "yue": "Cantonese"}, max_segment_ms=28_000,
    max_batch=4, exact_drafts=True, context=True, words=False,
)  # fmt: skip
LIMITS = {"max_frame_bytes": 4096, "max_backlog_ms": 10_000}


class RecordingSpeech:
    """In the engine's place: keeps what it is told, in order, and confirms nothing by itself."""

    def __init__(self, options: StreamOptions) -> None:
        self.options = options
        self.calls: list[tuple[object, ...]] = []
        self.received = 0
        self.confirmed = 0

    def push(self, pcm: Pcm) -> int:
        self.calls.append(("push", len(pcm)))
        self.received += len(pcm)
        return self.received - self.confirmed

    def close_segment(self, reason: heard.CloseReason, id: str | None = None) -> None:
        self.calls.append(("close", reason, id))

    def update(self, options: StreamOptions) -> None:
        self.calls.append(("update", options))


class Call:
    """A session with the given options, and all speeches that it opened."""

    def __init__(self, model: ModelInfo = MODEL, **options: object) -> None:
        self.opened: list[RecordingSpeech] = []
        parsed = parse_options(options, max_segment_ms=model.max_segment_ms)
        self.session = Session(Identity("s"), parsed, model, LIMITS, self._open)

    def _open(self, options: StreamOptions) -> RecordingSpeech:
        self.opened.append(RecordingSpeech(options))
        return self.opened[-1]

    @property
    def speech(self) -> RecordingSpeech:
        [speech] = self.opened
        return speech

    def says(self, message: ClientMessage) -> Any:
        return self.session.receive(message)

    def configures(self, **options: object) -> Any:
        return self.says(Configure(dict(options), "c1"))

    def hears(self, event: heard.Event) -> Any:
        [message] = self.session.translate([event])
        return message

    def refuses(self, message: ClientMessage, error: type[GatewayError] = InvalidOption) -> Any:
        with pytest.raises(error) as refused:
            self.says(message)
        return refused.value


def frame(samples: int) -> AudioFrame:
    """Quiet pcm_s16le."""
    return AudioFrame(bytes(2 * samples))
