"""A codec over a real session and stream, played without clock, socket, model or detector."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.messages import Pcm, Step, StepResult
from engine.segment import Due, StreamOptions
from engine.transcript import CloseReason
from gateway.errors import GatewayError, as_fields
from gateway.session import Identity, Session
from gateway.wire.codec import Dialect, Frame, Handshake
from gateway.wire.messages import AudioFrame, ErrorMessage, Outgoing, Partial, Reply
from gateway.wire.options import parse_options
from tests.engine.scripted import Playback, Scene
from tests.gateway.wire.hosts import MODEL, host

RATE = 16_000
FRAME_MS = 100


class PlayedSpeech:
    """The engine's end of a session: a `Playback`, which hears what the session pushes."""

    def __init__(self, play: Playback, said: Callable[[], None]) -> None:
        self.play, self._said = play, said

    @property
    def received(self) -> int:
        return self.play.stream.received

    def push(self, pcm: Pcm) -> int:
        self.play.stream.push(pcm)
        self.play.listen()
        self._said()
        return self.play.stream.unconfirmed

    def close_segment(self, reason: CloseReason, id: str | None = None) -> None:
        if reason in ("stop", "drain"):
            self.play.stop()
        else:
            self.play.close(reason, id)
        self._said()

    def update(self, options: StreamOptions) -> None:
        self.play.stream.update(options)


class PlayedConversation:
    """What a client of 16 kHz pcm_s16le is told while a scene is spoken."""

    def __init__(
        self,
        dialect: Dialect,
        scene: Scene,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
        setup: Sequence[Frame] = (),
        answer: Callable[[Due, Step], StepResult | None] | None = None,
        delay: Callable[[], int] = lambda: 0,
        conflate: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Args:
            setup: frames that are sent before any audio.
            answer, delay: see `Playback`.
            conflate: whether a partial is replaced in the outbox before it is sent.
        """
        self._pcm = np.round(scene.audio * 32_767).astype("<i2")
        scene.audio = self._pcm.astype(np.float32) / np.float32(32_768)
        self._scene, self._answer, self._delay = scene, answer, delay
        self._conflate = conflate
        self._speech: PlayedSpeech | None = None
        self.events: list[dict[str, Any]] = []
        self.ended = False
        """Whether there was an error that ends a session."""
        opening = dialect.open(Handshake(query, (), headers or {}), host())
        self.codec = opening.codec
        options = parse_options(opening.options, max_segment_ms=MODEL.max_segment_ms)
        self.session = Session(
            Identity("s"), options, MODEL, {"max_backlog_ms": 10**9}, self._open_speech
        )
        self._say(self.session.ready())
        for frame in setup:
            self.send(frame)

    def _open_speech(self, options: StreamOptions) -> PlayedSpeech:
        play = Playback(self._scene, options, self._answer, delay=self._delay, info=MODEL)
        self._speech = PlayedSpeech(play, self._heard)
        return self._speech

    def _heard(self) -> None:
        assert self._speech is not None
        events = self._speech.play.stream.take_events()
        self._say(self.session.translate(events))

    def _say(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if isinstance(message, Partial) and self._conflate():
                continue
            self.events += [json.loads(frame) for frame in self.codec.encode(message)]

    def send(self, frame: Frame | dict[str, Any]) -> None:
        """What the connection does with a frame; a dict is sent as JSON."""
        if isinstance(frame, dict):
            frame = json.dumps(frame)
        try:
            for each in self.codec.decode(frame):
                if isinstance(each, AudioFrame):
                    self.session.check_audio(each.pcm)
                answers = [each] if isinstance(each, Reply) else self.session.receive(each)
                self._say(answers)
        except GatewayError as error:
            self.ended |= not error.recoverable
            self._say([ErrorMessage(**as_fields(error))])

    def speak(self, until_ms: int | None = None) -> None:
        """The scene up to a moment, in binary frames."""
        heard = self._speech.received if self._speech is not None else 0
        until = len(self._pcm)
        if until_ms is not None:
            until = min(until, until_ms * RATE // 1000)
        for at in range(heard, until, FRAME_MS * RATE // 1000):
            self.send(self._pcm[at : min(at + FRAME_MS * RATE // 1000, until)].tobytes())

    def end(self) -> None:
        """The session is over, whoever ended it."""
        self.session.end("stop")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events whose type ends so."""
        return [event for event in self.events if event["type"].endswith(kind)]
