"""A segmenter that hears a scene, without stream, detector or model."""

import numpy as np

from engine.messages import ms_to_samples
from engine.segment import Segment, StreamOptions
from engine.segmenter import FRAMES_AT_ONCE, Segmenter
from engine.transcript import CloseReason
from engine.vad import FRAME
from tests.engine.scripted import Scene

OPTIONS = StreamOptions()


class Cutting:
    """A segmenter that hears a scene."""

    def __init__(self, scene: Scene, options: StreamOptions = OPTIONS) -> None:
        self.scene, self.it = scene, Segmenter(options)

    def play(self, until_ms: int | None = None, size: int = 1600) -> "Cutting":
        until = len(self.scene.audio) if until_ms is None else ms_to_samples(until_ms)
        while self.it.pcm.end < until:
            at = self.it.pcm.end
            self.it.pcm.append(self.scene.audio[at : min(at + size, until)])
            self.listen()
        return self

    def mark(self, reason: CloseReason, id: str | None = None) -> "Cutting":
        self.it.mark(reason, id)
        return self.listen()

    def listen(self) -> "Cutting":
        while len(frames := self.it.frames()):
            at, end = self.it.clock, self.it.clock + len(frames)
            assert len(frames) < FRAME or len(frames) in range(0, FRAMES_AT_ONCE * FRAME + 1, FRAME)
            assert np.array_equal(frames, self.scene.audio[at:end])
            self.it.hear(self.scene.probabilities(at, end), len(frames))
            assert self.it.clock == end
        assert self.it.ended or not self.it.waiting
        return self

    @property
    def closed(self) -> list[Segment]:
        return self.it.closed
