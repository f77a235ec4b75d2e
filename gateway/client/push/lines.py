"""What of a room's messages is posted: each final once, cut into cues. No I/O."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from gateway.captions import Caption, broken
from gateway.client.push.address import Line

MOST_REMEMBERED = 10_000
"""Finals that are not posted again should a session that is resumed say them again."""

SegmentKey = tuple[str, int]


class Lines:
    """A room's finals as lines.

    Args:
        said: segments that are not to be posted, as they were said before.
    """

    def __init__(self, said: Iterable[SegmentKey] = ()) -> None:
        self._posted = dict.fromkeys(said)
        self._session = ""
        self._began: datetime | None = None
        self._last: datetime | None = None

    def of(self, message: dict[str, Any], now: datetime, heard_s: float = 0.0) -> list[Line]:
        """The lines that a message brings, in their order.

        Args:
            now: when it came, UTC.
            heard_s: the same by the clock of who posts.
        """
        if message["type"] not in ("partial", "final"):
            return []
        began = self._hear(message, now)
        key = (message["session"], message["segment"])
        if message["type"] != "final" or key in self._posted:
            return []
        self._remember(key)
        cues = broken([Caption(message["text"], message["start_ms"], message["end_ms"])])
        language = message.get("language") or ""
        return [
            Line(tuple(cue.text.split("\n")), self._in_order(began, cue), language, heard_s)
            for cue in cues
        ]

    def _hear(self, message: dict[str, Any], now: datetime) -> datetime:
        """When the session began, as the message with the least delay says: none is ever early."""
        if message["session"] != self._session:
            self._session, self._began = message["session"], None
        began = now - timedelta(milliseconds=message["end_ms"])
        self._began = min(began, self._began or began)
        return self._began

    def _in_order(self, began: datetime, cue: Caption) -> datetime:
        at = began + timedelta(milliseconds=cue.start_ms)
        self._last = max(at, self._last or at)
        return self._last

    def _remember(self, key: SegmentKey) -> None:
        self._posted[key] = None
        if len(self._posted) > MOST_REMEMBERED:
            del self._posted[next(iter(self._posted))]
