"""The bounded queue to one client: partials of a segment conflate, all else is never dropped."""

import asyncio
from collections import deque

from gateway.errors import SlowConsumer
from gateway.wire.messages import Final, Outgoing, Partial


class Outbox:
    """Filled by the session's events, emptied by the connection's writer.

    Overflow is no reason to wait or to drop: the client is told and closed (`SlowConsumer`).
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._waiting: deque[Outgoing] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._close_code: int | None = None
        self.conflated = 0
        """Partials that were replaced before they were sent."""

    def put(self, message: Outgoing) -> None:
        """Queues a message; after `close` it is dropped.

        Raises:
            SlowConsumer: too much waits already.
        """
        if self._close_code is not None:
            return
        if isinstance(message, Partial | Final):
            self._drop_partial(message.segment)
        self._waiting.append(message)
        self._bytes += weight(message)
        self._filled.set()
        if len(self._waiting) > self._max_events or self._bytes > self._max_bytes:
            raise SlowConsumer()

    def _drop_partial(self, segment: int) -> None:
        # A segment's newer text makes its waiting partial pointless; there is at most one, near
        # the end.
        for i in range(len(self._waiting) - 1, -1, -1):
            message = self._waiting[i]
            if isinstance(message, Partial) and message.segment == segment:
                del self._waiting[i]
                self._bytes -= weight(message)
                self.conflated += 1
                return

    def close(self, code: int, *, last: Outgoing | None = None, drop: bool = False) -> None:
        """Ends with ``code`` behind ``last`` and what waits (``drop``: instead of it)."""
        if self._close_code is not None:
            return
        if drop:
            self._waiting.clear()
        if last is not None:
            self._waiting.append(last)
        self._close_code = code
        self._filled.set()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._close_code is not None

    async def get(self) -> Outgoing | int:
        """The next message, or the close code when there are no more."""
        while not self._waiting and self._close_code is None:
            self._filled.clear()
            await self._filled.wait()
        if not self._waiting:
            assert self._close_code is not None
            return self._close_code
        message = self._waiting.popleft()
        self._bytes -= weight(message)
        return message


def weight(message: Outgoing) -> int:
    """Bytes of text a message may grow to, at most 4 a character; the rest of it is small."""
    if isinstance(message, Partial):
        return 4 * (len(message.stable) + len(message.unstable))
    return 4 * len(message.text) if isinstance(message, Final) else 0
