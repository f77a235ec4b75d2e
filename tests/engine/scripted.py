"""A stream played through without clock, model or detector: all three are written in the test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.messages import Audio, ModelInfo, Step, StepResult, as_audio, ms_to_samples
from engine.segment import Due, StepKind, StreamOptions
from engine.stream import Stream
from engine.transcript import CloseReason, Confirmed, Event, Final, Finished, Partial
from engine.vad import FRAME

INFO = ModelInfo(
    name="scripted", languages={"en": "English"}, max_segment_ms=28_000, max_batch=8,
    exact_drafts=True, context=True, words=False,
)  # fmt: skip

WORD_MS = 320


@dataclass(frozen=True)
class Word:
    """Spoken between two session samples; written as ``text``, its leading space included."""

    text: str
    start: int
    end: int


class Scene:
    """What is spoken when. Loud where somebody speaks, digital zero elsewhere."""

    def __init__(self, *parts: str | int, word_ms: int = WORD_MS) -> None:
        """A string says its words without a pause between them; a number is a pause in ms."""
        words: list[Word] = []
        at = 0
        for part in parts:
            if isinstance(part, int):
                at += ms_to_samples(part)
                continue
            for word in part.split():
                words.append(Word(f" {word}", at, at + ms_to_samples(word_ms)))
                at = words[-1].end
        self.words = tuple(words)
        self.audio: Audio = np.zeros(at, np.float32)
        for word in words:
            noise = np.random.default_rng(word.start).uniform(0.2, 0.3, word.end - word.start)
            self.audio[word.start : word.end] = noise

    @property
    def text(self) -> str:
        """All that is spoken."""
        return "".join(word.text for word in self.words).strip()

    def probability(self, start: int, end: int) -> float:
        """Of speech in a frame."""
        middle = (start + end) // 2
        return 0.9 if any(word.start <= middle < word.end for word in self.words) else 0.02

    def probabilities(self, start: int, end: int) -> list[float]:
        """Of each frame between two samples; the last may be shorter."""
        return [self.probability(at, min(at + FRAME, end)) for at in range(start, end, FRAME)]


class ScriptedModel:
    """Writes each word whose middle lies in the step's audio: no word belongs to two segments.

    The newest ``mishears`` words of a partial are written wrongly, as a model does that lacks
    what follows. Forced tokens are taken as they are.
    """

    def __init__(self, scene: Scene, mishears: int = 0) -> None:
        self._words, self._mishears = scene.words, mishears
        self._ids: dict[bytes, int] = {}
        self._pieces: list[bytes] = []

    def answer(self, due: Due, step: Step) -> StepResult:
        """What it says of a step."""
        start, end = due.segment.start, due.end
        said = [w.text for w in self._words if start <= (w.start + w.end) // 2 < end]
        doubtful = 0 if step.final else min(self._mishears, len(said))
        for i in range(len(said) - doubtful, len(said)):
            said[i] = said[i][:-1] + "~"
        own = [self._id(piece.encode()) for word in said for piece in (word[:2], word[2:]) if piece]
        tokens = (*step.forced, *own[len(step.forced) :])
        return self.result(tokens)

    def result(self, tokens: Sequence[int], confidence: float = 0.9) -> StepResult:
        """Tokens with their pieces."""
        pieces = tuple(self._pieces[token] for token in tokens)
        return StepResult(tuple(tokens), pieces, "eos", "en", confidence)

    def _id(self, piece: bytes) -> int:
        if piece not in self._ids:
            self._ids[piece] = len(self._pieces)
            self._pieces.append(piece)
        return self._ids[piece]


@dataclass(frozen=True)
class Taken:
    """A step that was taken, and how much had been heard by then."""

    due: Due
    step: Step
    heard: int


class Playback:
    """One session, walked as the worker walks it: a batch in flight, the next when it is back."""

    def __init__(
        self,
        scene: Scene,
        options: StreamOptions | None = None,
        answer: Callable[[Due, Step], StepResult | None] | None = None,
        *,
        delay: Callable[[], int] = lambda: 0,
        info: ModelInfo = INFO,
    ) -> None:
        """
        Args:
            scene: what is spoken.
            options: of the stream.
            answer: a step's result; None: it fails. Default: `ScriptedModel`.
            delay: how many batches of frames are heard before steps are taken, and before
                their results are there.
            info: of the model.
        """
        self.scene = scene
        self.stream = Stream("session", options or StreamOptions(), info)
        self.taken: list[Taken] = []
        self.heard = 0
        self._answer = answer or ScriptedModel(scene).answer
        self._delay = delay
        self._wait = 0
        self._flying: list[tuple[Due, StepResult | None]] = []

    @property
    def events(self) -> list[Event]:
        """All so far."""
        return self.stream.events

    @property
    def finals(self) -> list[Final]:
        """All so far."""
        return [event for event in self.events if isinstance(event, Final)]

    @property
    def partials(self) -> list[Partial]:
        """All so far."""
        return [event for event in self.events if isinstance(event, Partial)]

    def push(self, samples: int) -> None:
        """The next ``samples`` samples arrive, and are heard."""
        at = self.stream.received
        self.stream.push(self.scene.audio[at : at + samples])
        self.listen()

    def play(self, until_ms: int | None = None, size: int = 1600) -> None:
        """Everything up to a moment of the scene arrives, ``size`` samples at a time."""
        until = len(self.scene.audio) if until_ms is None else ms_to_samples(until_ms)
        while self.stream.received < until:
            self.push(min(size, until - self.stream.received))

    def close(self, reason: CloseReason, id: str | None = None) -> None:
        """A close is asked for, and reached."""
        self.stream.mark(reason, id)
        self.listen()

    def stop(self) -> None:
        """Ends the session and waits for its last final."""
        self.close("stop")
        while self.stream.unfinished:
            self._work()

    def listen(self) -> None:
        """Hears all frames there are; steps go on meanwhile."""
        while True:
            frames = self.stream.frames()
            start, self.heard = self.heard, self.heard + len(frames)
            assert np.array_equal(as_audio(frames), self.scene.audio[start : self.heard])
            self.stream.hear(self.scene.probabilities(start, self.heard), len(frames))
            self._work()
            if not len(frames):
                return

    def _work(self) -> None:
        while True:
            if self._wait:
                self._wait -= 1
                return
            if self._flying:
                self._land()
            elif dues := self.stream.due(0):
                self._flying = [(due, self._take(due)) for due in dues]
            else:
                return
            self._wait = self._delay()

    def _take(self, due: Due) -> StepResult | None:
        step = self.stream.take(due)
        if due.kind is StepKind.PARTIAL:
            assert due.end == self.heard, "a step takes all that was heard (P6)"
        start, heard = due.segment.start, min(due.end, self.heard)  # behind a drain all may come
        assert len(step.samples) == due.end - start
        assert np.array_equal(step.samples[: heard - start], self.scene.audio[start:heard])
        assert step.key == ("session", due.segment.index)
        assert step.final is (due.kind is not StepKind.PARTIAL)
        self.taken.append(Taken(due, step, self.heard))
        return self._answer(due, step)

    def _land(self) -> None:
        flying, self._flying = self._flying, []
        for due, result in flying:
            if result is None:
                self.stream.fail(due)
            else:
                self.stream.commit(due, result)


@dataclass
class AppendOnlyClient:
    """Shows stable text as it grows; can take nothing back."""

    text: str = ""
    revised: int = 0
    _stable: str = field(default="", repr=False)

    def hear(self, events: Sequence[Event]) -> "AppendOnlyClient":
        """Takes events."""
        for event in events:
            match event:
                case Partial(stable=stable):
                    assert stable.startswith(self._stable)
                    self.text += stable[len(self._stable) :]
                    self._stable = stable
                case Final(text=text, revised=revised):
                    assert revised is not text.startswith(self._stable)
                    self.revised += revised
                    self.text += text[len(self._stable) :]
                    self._stable = ""
        return self


def confirmed(events: Sequence[Event]) -> int:
    """The last confirmed sample."""
    return max((event.upto for event in events if isinstance(event, Confirmed)), default=0)


def finished(events: Sequence[Event]) -> bool:
    """Whether the last event is the only `Finished`."""
    return [type(event) for event in events].index(Finished) == len(events) - 1
