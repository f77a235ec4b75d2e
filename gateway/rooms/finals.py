"""What was said in a room for good, in its order, and what was corrected in it."""

import json
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import InvalidMessage
from gateway.rooms.correction import Correction, StaleCorrection
from gateway.rooms.frames import RoomFrame, SegmentKey
from gateway.rooms.timeline import Timeline
from gateway.wire.strict_json import dump_json

CORRECTED = "corrected"
"""Type of the message that says: that final's text is another."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A final, and what became of it."""

    final: RoomFrame
    """As who comes late gets it: with what was corrected, in its old place."""
    text: str
    lead: str
    """The space that parts it from the segment before, which no editor has to know of."""
    revision: int = 0
    correction: RoomFrame | None = None
    """As who had the final before gets it."""

    def since(self, seq: int) -> RoomFrame | None:
        """What somebody lacks who has seen all up to a message."""
        if self.final.seq > seq:
            return self.final
        return self.correction if self.correction and self.correction.seq > seq else None


class Finals:
    """The newest finals of a room.

    Args:
        most: that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[SegmentKey, Kept] = {}
        self.timeline = Timeline()
        """Where they are, and those that are kept no more were."""
        self.forgotten_ms = 0
        """Up to there finals were forgotten."""

    def add(self, key: SegmentKey, fields: dict[str, Any]) -> RoomFrame:
        """Keeps a final.

        A session that went on from a checkpoint may say one again; what was corrected in it stays.
        """
        before = self._kept.pop(key, None)
        if before is not None and before.revision:
            fields = _corrected(fields, before.text, before.revision)
        text = fields["text"]
        times = (fields["start_ms"], fields["end_ms"])
        span = before.final.span if before else self.timeline.place(key[0], *times)
        frame = RoomFrame(fields["seq"], dump_json(fields), key, span=span)
        lead = before.lead if before else text[: len(text) - len(text.lstrip())]
        self._kept[key] = Kept(frame, text, lead, before.revision if before else 0)
        if len(self._kept) > self._most:
            oldest = self._kept.pop(next(iter(self._kept)))
            self.forgotten_ms = max(self.forgotten_ms, oldest.final.span[1])
        return frame

    def correct(self, wanted: Correction, seq: int) -> RoomFrame:
        """Gives a final another text, and the next revision.

        Args:
            seq: number of the message that says so, which is returned.

        Raises:
            InvalidMessage: there is no such final.
            StaleCorrection: the editor has not seen its newest text.
        """
        key = self._find(wanted)
        kept = self._kept[key]
        named = {"session": key[0], "segment": key[1]}
        if wanted.revision != kept.revision:
            current = {**named, "text": kept.text, "revision": kept.revision}
            raise StaleCorrection(wanted.revision, current)
        revision, text = kept.revision + 1, wanted.text.strip()
        text = kept.lead + text if text else ""
        fields = _corrected(json.loads(kept.final.text), text, revision)
        final = replace(kept.final, text=dump_json(fields))
        said = {"type": CORRECTED, "session": key[0], "seq": seq, "segment": key[1],
                "text": text, "revision": revision}  # fmt: skip
        correction = RoomFrame(seq, dump_json(said))
        self._kept[key] = Kept(final, text, kept.lead, revision, correction)
        return correction

    def _find(self, wanted: Correction) -> SegmentKey:
        for session, segment in reversed(self._kept):
            if segment == wanted.segment and wanted.session in (None, session):
                return session, segment
        raise InvalidMessage(
            f"There is no final of segment {wanted.segment} here, or it is no longer kept: correct "
            "a segment that was shown to you."
        )

    def all(self) -> list[Kept]:
        """Those that are kept, in their order."""
        return list(self._kept.values())

    def put_back(self, kept: Kept) -> None:
        """Keeps the next of `all` of another process's."""
        assert kept.final.segment is not None
        self._kept[kept.final.segment] = kept

    def since(self, seq: int) -> list[RoomFrame]:
        """What somebody lacks who has seen all up to a message; 0: all finals in their order."""
        lacking = (each.since(seq) for each in self._kept.values())
        return [frame for frame in lacking if frame is not None]


def _corrected(fields: dict[str, Any], text: str, revision: int) -> dict[str, Any]:
    """A final with another text, without what was said of its old one."""
    kept = {name: each for name, each in fields.items() if name not in ("words", "confidence")}
    return kept | {"text": text, "revision": revision}
