"""Live connections of this process: admission, deadlines, drain."""

import asyncio
import contextlib
import time
from typing import Protocol

from gateway.errors import ShuttingDown, TooManySessions
from gateway.metrics import Metrics
from gateway.settings import Settings

RETRY_AFTER_MS = 5000
CHECK_EVERY_S = 1.0


class Served(Protocol):
    """What has a session: a connection, an upload."""

    async def run(self) -> None:
        """Until it is over."""
        ...

    def check_deadlines(self, now: float) -> None:
        """Ends what lasts too long; ``now`` is `time.monotonic`'s."""
        ...

    def drain(self) -> None:
        """Ends soon."""
        ...


class Registry:
    """Owns the connections."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self.draining = False
        self._connections: set[Served] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def admit(self) -> None:
        """Lets another session in, or not.

        Raises:
            ShuttingDown, TooManySessions: not now.
        """
        if self.draining:
            raise ShuttingDown(retry_after_ms=RETRY_AFTER_MS)
        if len(self._connections) >= self._settings.max_sessions:
            self._metrics.limited.labels("max_sessions").inc()
            raise TooManySessions(retry_after_ms=RETRY_AFTER_MS)

    async def serve(self, connection: Served) -> None:
        """Runs an accepted connection to its end."""
        self._connections.add(connection)
        self._empty.clear()
        self._metrics.sessions.set(len(self._connections))
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self._metrics.sessions.set(len(self._connections))
            if not self._connections:
                self._empty.set()

    async def watch_deadlines(self) -> None:
        """Until cancelled: one look at all connections a second."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            now = time.monotonic()
            for connection in list(self._connections):
                connection.check_deadlines(now)

    async def drain(self) -> None:
        """Refuses new sessions and gives the open ones `Settings.drain_s` for their finals."""
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        # Each connection's own deadline is `drain_s`; this is for one that cannot even be closed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s + CHECK_EVERY_S):
                await self._empty.wait()
