"""The numbered, bounded log of what a client was told, for one that lost its connection. Pure."""

from collections import deque

from gateway.outbox import weight
from gateway.wire.messages import Outgoing


class Journal:
    """Numbers messages from 1 on and keeps the newest.

    Args:
        max_events: messages kept.
        max_bytes: bytes of transcript kept; the newest message is, however long.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._kept: deque[Outgoing] = deque()
        self._bytes = 0
        self.last = 0
        """The newest message's number; 0: there is none."""

    def add(self, message: Outgoing) -> int:
        """Keeps a message; its number."""
        self.last += 1
        self._kept.append(message)
        self._bytes += weight(message)
        while len(self._kept) > 1 and self._is_full():
            self._bytes -= weight(self._kept.popleft())
        return self.last

    def _is_full(self) -> bool:
        return len(self._kept) > self._max_events or self._bytes > self._max_bytes

    def since(self, seen: int) -> list[Outgoing] | None:
        """All after number ``seen``; None: they are not all there."""
        first = self.last - len(self._kept) + 1
        if not first - 1 <= seen <= self.last:
            return None
        return list(self._kept)[seen - first + 1 :]
