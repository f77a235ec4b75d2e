"""What the engine says about a session's speech: plain frozen events.

All positions are samples at 16 kHz since the session's first sample; times of words are
milliseconds since then.
"""

from dataclasses import dataclass
from typing import Literal

from engine.checkpoint import Checkpoint
from engine.messages import TimedWord

CloseReason = Literal["endpoint", "finalize", "length", "stop", "drain"]
SuppressReason = Literal["silence", "repetition", "low_evidence"]


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech was heard, beginning at ``at``; it opened ``segment``."""

    at: int
    segment: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Silence long enough to end ``segment`` followed the speech that ended at ``at``."""

    at: int
    segment: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """`StreamOptions.utterance_end` passed without speech since it ended at ``at``."""

    at: int


@dataclass(frozen=True, slots=True)
class Partial:
    """A hypothesis of the open segment; replaces the segment's earlier ones.

    ``stable + unstable`` is the text, with the space that parts it from the segment before.
    Within a segment ``stable`` only grows (P5) and ends at a word's end.
    """

    segment: int
    revision: int
    stable: str
    unstable: str
    start: int
    end: int
    language: str | None


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Text of this stretch was withdrawn or never shown."""

    segment: int
    reason: SuppressReason
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Final:
    """The segment's text for good."""

    segment: int
    text: str
    revised: bool
    """Whether the text contradicts what was called stable before."""
    start: int
    end: int
    language: str | None
    confidence: float | None
    reason: CloseReason
    id: str | None
    """Of the ``finalize`` that closed the segment."""
    words: tuple[TimedWord, ...] | None = None
    """In order, within the segment; empty if they cannot be had. None: the session wants none."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """All audio before ``upto`` is in finals or was silence."""

    upto: int
    checkpoint: Checkpoint
    """What goes on from there: its ``start`` is ``upto``."""


@dataclass(frozen=True, slots=True)
class SegmentFailed:
    """The model failed on this segment again and again; its final says what was known before."""

    segment: int


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The cadence is stretched for want of capacity; sent when it changes much."""

    cadence_ms: int


@dataclass(frozen=True, slots=True)
class Finished:
    """After a stop or drain: the last event."""

    samples: int
    segments: int


Event = (
    SpeechStarted
    | SpeechEnded
    | UtteranceEnded
    | Partial
    | Suppressed
    | Final
    | Confirmed
    | SegmentFailed
    | Overloaded
    | Finished
)
