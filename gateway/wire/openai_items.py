"""The items of an OpenAI Realtime transcription session, from the session's segments. Pure.

An item is what was said between two commits, by the server's turn detection or by the client. With
turn detection each segment is an item; without, segments that were cut for their length gather in
one until the client commits. Each item is told of in the same order: ``speech_started``, deltas,
``speech_stopped``, ``committed`` and the item itself, the last delta, ``completed``.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.wire.append_only import missing
from gateway.wire.messages import (
    ErrorMessage,
    Final,
    Outgoing,
    Partial,
    SpeechEnded,
    SpeechStarted,
)
from gateway.wire.openai_config import Config

Event = dict[str, Any]
Asked = Literal["commit", "clear"]
"""What a client's `Finalize` stands for; also its id."""

MAX_ITEM_CHARS = 100_000
"""An item that a client never commits is completed when its text is so long."""
ONSET_MS = 80
"""Speech that begins so shortly before a cut is heard behind it: an onset takes longer. So this is
how inexact positions may be, and they are a little, as the resampler lags."""

_TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass(slots=True, eq=False)
class Item:
    """One item; ``text`` is that of its closed segments."""

    id: str
    start_ms: int
    segment: int
    """The last one that belongs to it."""
    text: str = ""
    sent: str = ""
    """What deltas told of the open segment."""
    audio_ms: int = 0
    languages: list[str] = field(default_factory=list)
    announced: bool = False
    """By ``speech_started``."""
    committed: bool = False
    failed: bool = False

    def own(self, text: str) -> str:
        """A segment's text as it goes on from the item's: an item does not begin with a space."""
        return text if self.text else text.lstrip()


@dataclass(slots=True)
class Items:
    """Turns what the session says into events, without their ``event_id``."""

    prefix: str
    """Of the items' ids."""
    config: Config
    """In force now; set by the codec."""
    beta: bool = False
    received_ms: int = 0
    """Audio that came from the client."""
    committed_ms: int = 0
    """Where the last committed audio ends."""
    _cuts: deque[int] = field(default_factory=deque)
    """Where the client asked for cuts that are still to be answered."""
    _cleared_ms: int = 0
    """Up to here all that was not committed is forgotten."""
    _open: deque[Item] = field(default_factory=deque)
    """Items that are not completed, oldest first."""
    _count: int = 0
    _last_committed: str | None = None
    _done: int = 0
    """The last segment whose final was told."""

    def cut(self, asked: Asked) -> None:
        """The client commits or clears what it sent so far."""
        self._cuts.append(self.received_ms)
        if asked == "clear":
            self._cleared_ms = self.received_ms

    def hear(self, message: Outgoing) -> Iterator[Event]:
        """The events that a message means."""
        match message:
            case SpeechStarted(at_ms, segment):
                yield from self._enter(segment, self._start_ms(at_ms))
            case SpeechEnded(at_ms, segment) if segment > self._done:
                yield from self._enter(segment, at_ms)
                yield from self._commit(self._of(segment), self._end_ms(at_ms))
            case Partial(segment=segment, start_ms=start_ms):
                yield from self._enter(segment, start_ms)
                yield from self._grow(self._of(segment), message)
            case Final(segment=segment, start_ms=start_ms):
                yield from self._enter(segment, start_ms, speech=bool(message.text))
                yield from self._close(self._of(segment), message)
            case ErrorMessage(segment=int(segment)):
                yield from self._enter(segment, self.committed_ms)
                self._of(segment).failed = True

    def _start_ms(self, onset_ms: int) -> int:
        """Where a segment begins whose speech does at ``onset_ms``: not before an earlier's end."""
        floors = (self.committed_ms, self._cleared_ms, *self._cuts)
        earlier = (floor for floor in floors if floor - ONSET_MS <= onset_ms)
        return max(onset_ms - self.config.padding_ms, *earlier, 0)

    def _end_ms(self, speech_end_ms: int) -> int:
        """Where audio ends whose speech does: with the silence that ended it, but at a cut."""
        cuts = (cut for cut in self._cuts if cut >= speech_end_ms - ONSET_MS)
        return min(speech_end_ms + (self.config.silence_ms or 0), self.received_ms, *cuts)

    def _of(self, segment: int) -> Item:
        return next(item for item in self._open if segment <= item.segment)

    def _forgotten(self, item: Item) -> bool:
        """Whether the client cleared its audio."""
        return not item.committed and item.start_ms < self._cleared_ms - ONSET_MS

    def _enter(self, segment: int, start_ms: int, speech: bool = True) -> Iterator[Event]:
        """Sees to it that the segment has an item."""
        known = self._open[-1].segment if self._open else self._done
        for unheard in range(known + 1, segment):  # cut for their length, or without speech
            before_ms = self._open[-1].start_ms if self._open else self.committed_ms
            yield from self._begin(unheard, before_ms, speech=False)
        if segment > known:
            yield from self._begin(segment, start_ms, speech)

    def _begin(self, segment: int, start_ms: int, speech: bool) -> Iterator[Event]:
        turns = self.config.silence_ms is not None
        last = self._open[-1] if self._open else None
        if not (turns or last is None or last.committed or self._parted(last, start_ms)):
            last.segment = segment
            return
        for item in self._open:
            yield from self._commit(item, start_ms)
        self._count += 1
        item = Item(f"{self.prefix}{self._count}", start_ms, segment)
        self._open.append(item)
        if turns and speech and not self._forgotten(item):
            item.announced = True
            kind = "input_audio_buffer.speech_started"
            yield {"type": kind, "item_id": item.id, "audio_start_ms": start_ms}

    def _parted(self, item: Item, start_ms: int) -> bool:
        """Whether the client asked for a cut between the item's start and ``start_ms``."""
        return any(item.start_ms < cut - ONSET_MS <= start_ms for cut in self._cuts)

    def _grow(self, item: Item, partial: Partial) -> Iterator[Event]:
        if self._forgotten(item):
            return
        stable = item.own(partial.stable)
        if stable.startswith(item.sent):
            yield from self._delta(item, stable[len(item.sent) :])
            item.sent = stable
        if self.config.snapshots:
            text = item.own(partial.stable + partial.unstable)
            yield self._event(item, "text") | {
                "text": item.text + stable,
                "stash": text[len(stable) :],
            }

    def _close(self, item: Item, final: Final) -> Iterator[Event]:
        self._done = final.segment
        if final.id is not None and self._cuts:
            self._cuts.popleft()
        if self._forgotten(item) or final.id == "clear":
            if final.segment >= item.segment:
                self._open.remove(item)
            return
        text = item.own(final.text)
        yield from self._delta(item, missing(item.sent, text))
        item.text, item.sent = item.text + text, ""
        item.audio_ms += final.end_ms - final.start_ms
        if final.language and final.language not in item.languages:
            item.languages.append(final.language)
        goes_on = final.reason == "length" and self.config.silence_ms is None
        if not goes_on or len(item.text) > MAX_ITEM_CHARS:
            yield from self._complete(item, final.end_ms)

    def _complete(self, item: Item, end_ms: int) -> Iterator[Event]:
        yield from self._commit(item, end_ms)
        self._open.remove(item)
        if item.failed and not item.text:
            yield self._event(item, "failed") | {
                "error": {
                    "type": "server_error",
                    "code": "engine_failed",
                    "message": "This audio could not be transcribed: do not send it again.",
                    "param": None,
                }
            }
            return
        yield self._event(item, "completed") | {
            "transcript": item.text,
            "usage": {"type": "duration", "seconds": item.audio_ms / 1000},
            "languages": [{"code": code} for code in item.languages],
            "logprobs": None,
        }

    def _delta(self, item: Item, text: str) -> Iterator[Event]:
        if text:
            yield self._event(item, "delta") | {"delta": text, "logprobs": None}

    def _commit(self, item: Item, end_ms: int) -> Iterator[Event]:
        """Says that the item's audio is whole; once, and in the order of the items."""
        if item.committed or self._forgotten(item):
            return
        item.committed = True
        self.committed_ms = max(self.committed_ms, end_ms)
        if item.announced:
            yield {
                "type": "input_audio_buffer.speech_stopped",
                "item_id": item.id,
                "audio_end_ms": end_ms,
            }
        previous, self._last_committed = self._last_committed, item.id
        before = {"previous_item_id": previous}
        yield {"type": "input_audio_buffer.committed", "item_id": item.id} | before
        kinds = ("created",) if self.beta else ("added", "done")
        for kind in kinds:
            yield {"type": f"conversation.item.{kind}", "item": _item_map(item.id)} | before

    def _event(self, item: Item, kind: str) -> Event:
        return {"type": f"{_TRANSCRIPTION}.{kind}", "item_id": item.id, "content_index": 0}


def _item_map(id: str) -> dict[str, Any]:
    return {
        "id": id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
