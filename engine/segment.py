"""A segment: a stretch of a session between two finals, and what the model has said of it. Pure."""

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from engine.messages import StepResult, TimedWord, ms_to_samples, samples_to_ms
from engine.rollback import next_prefix_length
from engine.spacing import decode
from engine.transcript import CloseReason

AUTO_CHUNK = ms_to_samples(2000)
"""The chunk in which cold start and rollback count when steps come as often as they can."""
CUT_WINDOW = ms_to_samples(5000)
AUTO_CADENCE = ms_to_samples(250)
"""How often a segment is stepped then, while there is capacity."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How one session wants its speech treated; durations in samples at 16 kHz."""

    language: str | None = None
    """Code; None: the model decides."""
    context: str = ""
    chunk: int | None = AUTO_CHUNK
    """None: auto."""
    rollback_tokens: int | None = 5
    """None: all."""
    cold_chunks: int = 2
    partials: bool = True
    endpoint: int = ms_to_samples(600)
    """Silence that ends a segment; 0: never."""
    utterance_end: int = 0
    """Silence after which an `UtteranceEnded` is said, whatever ends segments; 0: never."""
    max_segment: int = ms_to_samples(28_000)
    vad_threshold: float = 0.5
    vad_padding: int = ms_to_samples(300)
    words: bool = False
    """Whether finals tell the times of their words."""
    stream_tokens: bool = False
    """Whether unstable text grows within a step, where the model tells its progress."""
    prefix: str = ""
    """Text that the first segment begins with: words of it that the client knows already."""
    background: bool = False
    """Nobody waits for each word, as with a recording: steps of live sessions go first."""

    @property
    def cadence(self) -> int:
        """New audio that makes a segment due."""
        return AUTO_CADENCE if self.chunk is None else self.chunk

    @property
    def cut_window(self) -> int:
        """A segment that is too long is cut at the quietest point of so much of its end."""
        return min(CUT_WINDOW, self.max_segment // 4)

    @property
    def settle(self) -> int:
        """How old a hypothesis must be before its tokens are forced; the cold start's unit.

        In the background two chunks, so that the hypothesis behind it agrees: that costs time,
        which is not short there, and what it saves is text that the final would contradict.
        """
        chunk = AUTO_CHUNK if self.chunk is None else self.chunk
        return 2 * chunk if self.background else chunk


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a step said of a segment's audio up to ``end`` (a session sample)."""

    tokens: tuple[int, ...]
    pieces: tuple[bytes, ...]
    end: int

    @property
    def text(self) -> str:
        """Without the space that some models put first."""
        return decode(b"".join(self.pieces))[0].lstrip()


class StepKind(Enum):
    """Why a segment is stepped; the order is that of urgency."""

    FINAL = 0
    SPECULATIVE = 1
    PARTIAL = 2


@dataclass(slots=True)
class Segment:
    """Owned by its stream. ``start``, ``end`` … are session samples."""

    index: int
    start: int
    speech_end: int
    """End of the last frame with speech."""
    end: int | None = None
    """None while the segment is open."""
    reason: CloseReason | None = None
    finalize_id: str | None = None
    voiced: int = 0
    """Samples of frames with speech."""
    frames: "array[int]" = field(default_factory=lambda: array("q"))
    """End of each frame heard, negative if it was no speech: to know what lies behind a cut. No
    objects: with hundreds of sessions they are what the garbage collector would be called for."""
    history: deque[Hypothesis] = field(default_factory=deque)
    """Hypotheses, oldest first: the newest settled one and all after it."""
    prefix_length: int = 0
    """Tokens of the newest hypothesis that every later step is forced to keep."""
    prefix_text: str = ""
    prompt: tuple[str | None, str] | None = None
    """Language and context of its first step, which all have: a prefix in one language cannot go on
    in another."""
    stepped_to: int = 0
    """Where the audio of the last step ended; 0: none yet."""
    revision: int = 0
    shown: str = ""
    """The last partial's text."""
    shown_stable: str = ""
    """The stable part of it."""
    stepping: StepKind | None = None
    """The step in flight (P6: one at most)."""
    speculative_end: int | None = None
    """Where the segment ends if the present silence lasts."""
    speculation: StepResult | None = None
    """The final for just that end, if it is ready."""
    repetition_said: bool = False
    failures: int = 0
    given_up: bool = False

    @property
    def latest(self) -> Hypothesis | None:
        """The newest hypothesis."""
        return self.history[-1] if self.history else None

    @property
    def forced(self) -> tuple[int, ...]:
        """Tokens of the forced prefix."""
        return self.history[-1].tokens[: self.prefix_length] if self.history else ()

    @property
    def draft(self) -> tuple[int, ...]:
        """Tokens of the newest hypothesis behind the forced prefix."""
        return self.history[-1].tokens[self.prefix_length :] if self.history else ()

    def hear(self, end: int, voiced: bool, samples: int) -> None:
        """Takes note of the frame of ``samples`` samples that ends at ``end``."""
        if voiced:
            self.hear_speech((end,), samples)
        else:
            self.frames.append(-end)

    def hear_speech(self, ends: Sequence[int], samples: int) -> None:
        """`hear` of one or more voiced frames, of ``samples`` samples in all."""
        self.frames.extend(ends)
        self.voiced += samples
        self.speech_end = ends[-1]

    def believe(self, result: StepResult, end: int, options: StreamOptions) -> bool:
        """Takes a step's result for the newest hypothesis and advances the forced prefix.

        False: it contradicts the prefix, so it was left out. The prefix only ever grows, and
        only by tokens that were there one `StreamOptions.settle` ago in a hypothesis past the
        cold start, and short of where the segment may yet be cut for its length: words behind that
        cut will be the next segment's.
        """
        if result.tokens[: self.prefix_length] != self.forced:
            return False
        self.history.append(Hypothesis(result.tokens, result.pieces, end))
        # The next step comes a cadence later: what is settled then may be forced then.
        horizon = end + options.cadence - options.settle
        while len(self.history) > 1 and self.history[1].end <= horizon:
            self.history.popleft()
        settled, latest = self.history[0], self.history[-1]
        cold = settled.end - self.start < options.cold_chunks * options.settle
        uncuttable = self.start + options.max_segment - options.cut_window
        if settled.end <= min(horizon, uncuttable) and not cold:
            self.prefix_length = next_prefix_length(
                self.prefix_length,
                (latest.tokens, latest.pieces),
                (settled.tokens, settled.pieces),
                options.rollback_tokens,
            )
            self.prefix_text = decode(b"".join(latest.pieces[: self.prefix_length]))[0].lstrip()
        return True

    def timed(self, words: Sequence[TimedWord]) -> tuple[TimedWord, ...]:
        """Words of a step over the whole segment, in ms since the session's first sample."""
        assert self.end is not None
        start_ms, end_ms = samples_to_ms(self.start), samples_to_ms(self.end)
        return tuple(
            # Both bounds were rounded: the last word could end a millisecond behind the segment.
            TimedWord(text, min(start_ms + start, end_ms), min(start_ms + end, end_ms))
            for text, start, end in words
        )

    def split(self, cut: int) -> "Segment | None":
        """Ends this segment at ``cut``; what was heard behind it becomes the next, if speech."""
        later = [end for end in self.frames if abs(end) > cut]
        self.end = cut
        if not any(end > 0 for end in later):
            return None
        rest = Segment(index=self.index + 1, start=cut, speech_end=cut)
        previous = cut
        for end in later:
            rest.hear(abs(end), end > 0, abs(end) - previous)
            previous = abs(end)
        return rest


@dataclass(frozen=True, slots=True)
class Due:
    """A segment that wants a step now."""

    kind: StepKind
    segment: Segment
    end: int
    """Where the step's audio ends."""

    @property
    def new(self) -> int:
        """Samples that no step has heard yet."""
        return self.end - max(self.segment.stepped_to, self.segment.start)
