"""What gateway and client say to each other, whatever the protocol: frozen, slotted dataclasses.

Client messages are filled by a codec and read by the session; server messages are filled by the
session and read by a codec. Field names of server messages are the native protocol's own. Times
are milliseconds of audio since the session's first sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from engine.transcript import CloseReason, SuppressReason

NoticeCode = Literal["overloaded", "audio_gap", "clipped", "ignored_option"]


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """Audio in the session's encoding, sample rate and channels; not looked into by a codec."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Configure:
    """Options by name, as they came: `options.parse_options` or `update_options` judges them."""

    options: dict[str, Any]
    id: str | None


@dataclass(frozen=True, slots=True)
class Finalize:
    """Close the open segment now; its `Final` carries ``id``."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a `Pong` with the same ``id``."""

    id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Finalize, then `Done`, then close."""


ClientMessage = AudioFrame | Configure | Finalize | Ping | Stop


@dataclass(frozen=True, slots=True)
class Ready:
    """The session is open; ``options`` are those in force."""

    type: ClassVar[str] = "ready"
    epoch: int
    """Names this process's part of the session: events are numbered anew in each."""
    model: str
    sample_rate: int
    options: Mapping[str, Any]
    limits: Mapping[str, Any]
    next_sample: int
    """What the client is to send next, at its rate."""
    finalizes: int
    """`Finalize` messages taken so far: later ones are to be sent again."""
    resumed: bool = False
    """Whether the session is the one that was named: missed events follow."""
    resume: str | None = None
    """Secret that is needed to resume; None: it cannot be."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech was heard, beginning at ``at_ms``; it opened ``segment``."""

    type: ClassVar[str] = "speech_started"
    at_ms: int
    segment: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The speech that ended at ``at_ms`` was followed by enough silence to end ``segment``."""

    type: ClassVar[str] = "speech_ended"
    at_ms: int
    segment: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """``utterance_end_ms`` passed without speech since it ended at ``at_ms``."""

    type: ClassVar[str] = "utterance_ended"
    at_ms: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The open segment's text so far: ``stable + unstable``; ``stable`` only grows."""

    type: ClassVar[str] = "partial"
    segment: int
    revision: int
    stable: str
    unstable: str
    start_ms: int
    end_ms: int
    language: str | None
    lag_ms: int
    """Audio received but not yet in any text."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Text of this stretch was withdrawn or never shown."""

    type: ClassVar[str] = "suppressed"
    segment: int
    reason: SuppressReason
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Final:
    """The segment's text for good, with the space that parts it from the segment before."""

    type: ClassVar[str] = "final"
    segment: int
    text: str
    revised: bool
    start_ms: int
    end_ms: int
    language: str | None
    reason: CloseReason
    confidence: float | None = None
    words: tuple[Mapping[str, Any], ...] | None = None
    """Maps of ``text``, ``start_ms`` and ``end_ms``; None: the session did not ask for them."""
    id: str | None = None
    """Of the `Finalize` that closed the segment."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """All audio before this sample, at the client's rate, need not be kept for a replay."""

    type: ClassVar[str] = "confirmed"
    samples: int
    finalizes: int
    """`Finalize` messages before: they need not be sent again either."""
    checkpoint: str
    """To be given back when resuming; means nothing to a client."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a `Ping`."""

    type: ClassVar[str] = "pong"
    id: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A ``warning``: the session goes on."""

    type: ClassVar[str] = "warning"
    code: NoticeCode
    message: str
    cadence_ms: int | None = None
    """The cadence in force; with ``overloaded``."""
    from_ms: int | None = None
    """With ``to_ms`` the bounds of an ``audio_gap``."""
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """An ``error``; made by ``ErrorMessage(**errors.as_fields(error))``."""

    type: ClassVar[str] = "error"
    code: str
    message: str
    retryable: bool
    id: str | None = None
    param: str | None = None
    retry_after_ms: int | None = None
    segment: int | None = None
    """Which could not be transcribed."""


@dataclass(frozen=True, slots=True)
class Done:
    """After `Stop`: the last message before the close."""

    type: ClassVar[str] = "done"
    duration_ms: int
    segments: int
    totals: Mapping[str, int] = field(default_factory=dict)


ServerMessage = (
    Ready
    | SpeechStarted
    | SpeechEnded
    | UtteranceEnded
    | Partial
    | Suppressed
    | Final
    | Confirmed
    | Pong
    | Notice
    | ErrorMessage
    | Done
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a codec answers by itself; takes its place among the session's messages."""

    type: ClassVar[str] = "reply"
    body: Mapping[str, Any]
    """As the codec's own `encode` wants it."""


Outgoing = ServerMessage | Reply
"""What waits to be sent."""


def to_map(message: ServerMessage, session: str, seq: int) -> dict[str, Any]:
    """The native protocol's map of a message: type, session and seq first.

    Optional fields, which are those that default to None, are left out when they are None; others
    (``language``) are sent as null.
    """
    result: dict[str, Any] = {"type": message.type, "session": session, "seq": seq}
    for each in fields(message):
        value = getattr(message, each.name)
        if value is not None or each.default is not None:
            result[each.name] = value
    return result
