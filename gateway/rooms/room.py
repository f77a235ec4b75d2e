"""One room: what was said in it, and who follows. No sockets.

A message is written once for the room. What waits for a viewer are references to that text, and
partials of a segment give way to newer ones, so a slow viewer costs little and delays nobody.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.errors import SlowConsumer
from gateway.rooms.correction import Correction
from gateway.rooms.finals import Finals, Kept
from gateway.rooms.frames import RoomFrame, SegmentKey
from gateway.wire.messages import (
    Done,
    Final,
    Outgoing,
    Partial,
    SpeechEnded,
    SpeechStarted,
    Suppressed,
    UtteranceEnded,
    to_map,
)
from gateway.wire.strict_json import dump_json

_SHOWN = (Partial, Final, Suppressed, SpeechStarted, SpeechEnded, UtteranceEnded, Done)
_OF_TEXT = (Partial.type, Final.type, Suppressed.type)
LEFT = "left"
"""Type of the message that says: that session speaks here no more."""


class Viewer:
    """What waits for one viewer.

    Args:
        history: what it gets first.
        max_waiting: messages that may wait behind that.
    """

    def __init__(self, history: Iterable[RoomFrame], max_waiting: int) -> None:
        # By segment for partials, by number for all else: a newer text is found at once.
        self._waiting: dict[SegmentKey | int, RoomFrame] = {_key(each): each for each in history}
        self._most = max_waiting + len(self._waiting)
        self._filled = asyncio.Event()
        self.write: Callable[[RoomFrame], bool] = lambda frame: False
        """Takes a message at once, if it can; asked only while nothing waits and nobody sends."""
        self._is_slow = self._is_resting = False
        if self._waiting:
            self._filled.set()

    def put(self, frame: RoomFrame) -> None:
        """Writes or queues a message; too many end the viewer, at its next `get`."""
        if self._is_slow or (self._is_resting and not self._waiting and self.write(frame)):
            return
        if frame.segment is not None:
            self._waiting.pop(frame.segment, None)
        self._waiting[_key(frame)] = frame
        if len(self._waiting) > self._most:
            self._waiting.clear()
            self._is_slow = True
        self._filled.set()

    async def get(self) -> RoomFrame:
        """The next message.

        Raises:
            SlowConsumer: too many waited.
        """
        # Whoever got a message sends it before the next `get`: until then nothing may overtake it.
        self._is_resting = True
        try:
            await self._filled.wait()
        finally:
            self._is_resting = False
        if self._is_slow:
            raise SlowConsumer()
        frame = self._waiting.pop(next(iter(self._waiting)))
        if not self._waiting:
            self._filled.clear()
        return frame


@dataclass(frozen=True, slots=True)
class Written:
    """What was said in a room for good, on its own line of time."""

    finals: list[RoomFrame]
    from_ms: int
    """Of what was said before, some is forgotten."""
    to_ms: int
    """What is said from now on comes after this."""
    has_ended: bool
    """Whether nobody speaks there any more."""


@dataclass(frozen=True, slots=True)
class RoomState:
    """All that a room knows but its finals."""

    seq: int
    was_spoken_in: bool
    speaker: str | None
    """Its session."""
    partials: tuple[RoomFrame, ...]
    timeline: tuple[int, str, int]
    forgotten_ms: int


def for_viewers(message: Outgoing, session: str) -> dict[str, Any] | None:
    """The fields of a session's message as viewers get it, not numbered yet; None: they do not."""
    return to_map(message, session, 0) if isinstance(message, _SHOWN) else None


class Room:
    """The one owner of a room's state, which depends on nothing but what it is told, and the order.

    Args:
        history: finals that are kept for who comes late.
    """

    def __init__(self, history: int) -> None:
        self.viewers: set[Viewer] = set()
        self.speaker: Publication | None = None
        """The session that speaks here now."""
        self._seq = 0
        self._was_spoken_in = False
        self._finals = Finals(history)
        self._partials: dict[SegmentKey, RoomFrame] = {}

    @property
    def audience(self) -> int:
        """How many follow."""
        return len(self.viewers)

    @property
    def is_idle(self) -> bool:
        """Whether nobody would miss it now."""
        return self.speaker is None and not self.audience

    def take(self, session: str, replaced: Callable[[], None]) -> "Publication":
        """Makes a session the speaker, whoever was."""
        publication = Publication(self, session, replaced)
        self.seat(publication)
        return publication

    def seat(self, publication: "Publication") -> None:
        """The same, where its hold on the room is made already."""
        if self.speaker is not None:
            self.speaker.replace()
        self.speaker = publication
        self._was_spoken_in = True

    def publish(self, message: Outgoing, session: str) -> None:
        """Passes a session's message to all viewers, if it is one for them."""
        if (fields := for_viewers(message, session)) is not None:
            self.say(fields)

    def say(self, fields: dict[str, Any]) -> None:
        """Passes a message of `for_viewers` to all of them."""
        fields = fields | {"seq": self._seq + 1}
        kind = fields["type"]
        if kind not in _OF_TEXT:
            self._tell(RoomFrame(fields["seq"], dump_json(fields)))
            return
        segment = (fields["session"], fields["segment"])
        self._partials.pop(segment, None)
        if kind == Final.type:
            frame = self._finals.add(segment, fields)
        else:
            is_partial = kind == Partial.type
            frame = RoomFrame(fields["seq"], dump_json(fields), segment, is_partial)
            if is_partial:
                self._partials[segment] = frame
        self._tell(frame)

    def correct(self, wanted: Correction) -> None:
        """Gives a final another text, and tells all viewers.

        Raises:
            InvalidMessage: there is no such final.
            StaleCorrection: the editor has not seen its newest text.
        """
        self._tell(self._finals.correct(wanted, self._seq + 1))

    def _tell(self, frame: RoomFrame) -> None:
        self._seq = frame.seq
        for viewer in self.viewers:
            viewer.put(frame)

    def end_session(self, session: str) -> None:
        """The session is over, however it ended: nothing completes its open segments."""
        self.speaker = None
        self._partials.clear()
        self._finals.timeline.end_session()
        left = {"type": LEFT, "session": session, "seq": self._seq + 1}
        self._tell(RoomFrame(self._seq + 1, dump_json(left)))

    @property
    def written(self) -> Written:
        """What was said for good, in its order, as far as it is kept."""
        finals = self._finals
        has_ended = self._was_spoken_in and self.speaker is None
        return Written(finals.since(0), finals.forgotten_ms, finals.timeline.end_ms, has_ended)

    def history(self, after: int = 0) -> list[RoomFrame]:
        """Finals and open segments after a message that a viewer has seen, in their order."""
        # A room that was made anew counts from the start: then the viewer has seen nothing of it.
        seen = after if after <= self._seq else 0
        open_ = (each for each in self._partials.values() if each.seq > seen)
        return sorted([*self._finals.since(seen), *open_], key=lambda each: each.seq)

    # The same room in another process

    def state(self) -> RoomState:
        """What `restore` goes on with, beside all of `kept`."""
        speaker = self.speaker.session if self.speaker is not None else None
        partials, timeline = tuple(self._partials.values()), self._finals.timeline.state()
        return RoomState(
            self._seq, self._was_spoken_in, speaker, partials, timeline, self._finals.forgotten_ms
        )

    def kept(self) -> list[Kept]:
        """The finals, in their order."""
        return self._finals.all()

    def restore(self, state: RoomState) -> None:
        """Becomes the room whose state it is; its finals come one by one, by `put_back`."""
        self._seq, self._was_spoken_in = state.seq, state.was_spoken_in
        if state.speaker is not None:
            self.speaker = Publication(self, state.speaker, lambda: None)
        self._partials = {each.segment: each for each in state.partials if each.segment}
        self._finals.timeline.restore(state.timeline)
        self._finals.forgotten_ms = state.forgotten_ms

    def put_back(self, kept: Kept) -> None:
        """The next final."""
        self._finals.put_back(kept)


class Publication:
    """A session's hold on a room, until it gives it up or a newer session takes it.

    Args:
        replaced: called in the second case.
    """

    def __init__(self, room: Room, session: str, replaced: Callable[[], None]) -> None:
        self._room, self.session, self._replaced = room, session, replaced

    def say(self, message: Outgoing) -> None:
        """Passes a message to all viewers, if it is one for them and this is the speaker."""
        if self._room.speaker is self:
            self._room.publish(message, self.session)

    def end(self) -> None:
        """Gives the room up; nothing if that is over already."""
        if self._room.speaker is self:
            self._room.end_session(self.session)

    def replace(self) -> None:
        """Takes the room away."""
        if self._room.speaker is self:
            self._room.end_session(self.session)
        self._replaced()


def _key(frame: RoomFrame) -> SegmentKey | int:
    return frame.segment if frame.is_partial and frame.segment is not None else frame.seq
