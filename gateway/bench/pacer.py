"""The clock of all sessions of a process: one timer, and one pass over what is due."""

import asyncio
import heapq
import time
from collections.abc import Callable

TICK_S = 0.002
"""Frames that are due within so long of each other are sent in one pass."""

Speak = Callable[[], float | None]
"""Sends one frame; when the next is due, by `time.monotonic`, or None: there is none."""


class Pacer:
    """Has each session speak when its next frame is due.

    The schedule is absolute: a late frame delays no other. A session that is behind sends one
    frame in each turn, the one most behind first, until it is not.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Speak]] = []
        """A heap; the count keeps sessions that are due at once in the order they came."""
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, due: float, speak: Speak) -> None:
        """Has a session speak from ``due`` on, a time of `time.monotonic`."""
        self._count += 1
        entry = (due, self._count, speak)
        heapq.heappush(self._due, entry)
        if self._timer is None or self._due[0] is entry:
            self._wait(time.monotonic())

    def _pass(self) -> None:
        due, now = self._due, time.monotonic()
        while due and due[0][0] <= now:
            _, order, speak = due[0]
            following = speak()
            if following is None:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (following, order, speak))
        self._wait(now + TICK_S)

    def _wait(self, earliest: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            pause = max(self._due[0][0], earliest) - time.monotonic()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, pause), self._pass)
