"""Live sessions of this process: admission, coming back, deadlines, drain."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.access import Grant
from gateway.connection import Connection
from gateway.errors import Internal, Overloaded, Replaced, ShuttingDown, TooManySessions
from gateway.live import LiveSession
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.wire.codec import Rejoining
from gateway.wire.messages import Outgoing

RETRY_AFTER_MS = 5000
CHECK_EVERY_S = 1.0


class Served(Protocol):
    """What takes the place of a session and has no connection to lose: an upload."""

    async def run(self) -> None:
        """Until it is over."""
        ...

    def check_deadlines(self, now: float) -> None:
        """Ends what lasts too long; ``now`` is `time.monotonic`'s."""
        ...

    def drain(self) -> None:
        """Ends soon."""
        ...


class Traces(Protocol):
    """Whoever follows single sessions."""

    def opened(self, live: LiveSession) -> None:
        """A session begins here."""
        ...

    def closed(self, live: LiveSession, close_code: int) -> None:
        """It is over, and nobody can take it up any more."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """How full the engine is."""

    cadence_ms: Callable[[], float] = lambda: 0.0
    """How often partials could come if there was one session more."""
    unheard_ms: Callable[[], float] = lambda: 0.0
    """For how long audio has been waiting to be heard."""


class Registry:
    """Owns the sessions, connected or not.

    Args:
        load: none: there is always room.
        traces: told of each session, if there is somebody to tell.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics,
        load: Load | None = None, traces: Traces | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._metrics, self._load = settings, metrics, load or Load()
        self._traces = traces
        self.draining = False
        self._connected: dict[LiveSession, Connection] = {}
        self._detached: dict[LiveSession, float] = {}
        """Sessions whose connection was lost, and when; oldest first."""
        self._by_key: dict[tuple[str, int], LiveSession] = {}
        self._uploads: set[Served] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def admit(self) -> None:
        """Lets another session in, or not. One without a connection makes room.

        Raises:
            ShuttingDown, TooManySessions, Overloaded: not now.
        """
        if self.draining:
            raise ShuttingDown(retry_after_ms=RETRY_AFTER_MS)
        if self._open >= self._settings.max_sessions:
            self._metrics.limited.labels("max_sessions").inc()
            raise TooManySessions(retry_after_ms=RETRY_AFTER_MS)
        for setting, ms in (
            ("max_cadence_ms", self._load.cadence_ms()),
            ("max_unheard_ms", self._load.unheard_ms()),
        ):
            if ms > getattr(self._settings, setting):
                self._metrics.limited.labels(setting).inc()
                raise Overloaded(retry_after_ms=RETRY_AFTER_MS)
        if self._open + len(self._detached) >= self._settings.max_sessions:
            self._forget(next(iter(self._detached)))

    @property
    def _open(self) -> int:
        return len(self._connected) + len(self._uploads)

    @property
    def _all(self) -> list[LiveSession | Served]:
        return [*self._connected, *self._uploads]

    async def serve_upload(self, upload: Served) -> None:
        """Runs an upload to its end."""
        self._uploads.add(upload)
        self._empty.clear()
        self._count()
        try:
            await upload.run()
        finally:
            self._uploads.discard(upload)
            self._count()

    async def serve(self, connection: Connection) -> None:
        """Runs an accepted connection to its end."""
        live = connection.live
        if self._traces is not None and live.key not in self._by_key:
            self._traces.opened(live)
        self._by_key[live.key] = live
        self._connected[live] = connection
        self._detached.pop(live, None)
        self._empty.clear()
        self._count()
        try:
            await connection.run()
        finally:
            if self._connected.get(live) is connection:
                self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        live = connection.live
        del self._connected[live]
        kept = connection.lost and live.worth_keeping and not self.draining
        if kept and self._settings.resume_window_s:
            self._detached[live] = time.monotonic()
        else:
            self._end(live, connection.close_code)
        self._count()

    def _end(self, live: LiveSession, close_code: int) -> None:
        del self._by_key[live.key]
        live.end(close_code)
        if self._traces is not None:
            self._traces.closed(live, close_code)

    def _forget(self, live: LiveSession) -> None:
        del self._detached[live]
        self._end(live, 1006)
        self._count()

    def _count(self) -> None:
        self._metrics.sessions.set(self._open)
        self._metrics.detached.set(len(self._detached))
        if not self._open:
            self._empty.set()

    @property
    def states(self) -> dict[str, int]:
        """Sessions by state: ``ending`` have a connection, and wait for their last words."""
        ending = sum(live.ending for live in self._connected)
        return {
            "open": len(self._connected) - ending,
            "ending": ending,
            "detached": len(self._detached),
            "upload": len(self._uploads),
        }

    # Coming back

    def find(self, rejoining: Rejoining | None, grant: Grant) -> LiveSession | None:
        """The session that may be resumed there, connected or not; None: go on with a new one.

        Raises:
            ShuttingDown: not here any more.
        """
        if rejoining is None:
            return None
        if self.draining:
            raise ShuttingDown(retry_after_ms=RETRY_AFTER_MS)
        point = rejoining.point
        live = self._by_key.get((point.session, point.epoch))
        found = live if live is not None and live.may_resume(point, grant) else None
        self._metrics.resumed.labels("session" if found else "nothing").inc()
        return found

    async def take_up(
        self, live: LiveSession, rejoining: Rejoining, grant: Grant
    ) -> list[Outgoing]:
        """Makes a session free for a newer connection, which must be served at once.

        Returns:
            What the new connection is sent first.

        Raises:
            Replaced: a connection that is newer still wants it.
            Internal: it ended meanwhile.
        """
        live.claims += 1
        claim = live.claims
        if (older := self._connected.get(live)) is not None:
            await older.replace()
            if claim != live.claims:
                raise Replaced()
        if self._by_key.get(live.key) is not live or not live.may_resume(rejoining.point, grant):
            raise Internal()
        return live.resume(rejoining.point, rejoining.codec, grant)

    # Deadlines and drain

    async def watch_deadlines(self) -> None:
        """Until cancelled: one look at all sessions a second."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            now = time.monotonic()
            for each in self._all:
                each.check_deadlines(now)
            for live, since in list(self._detached.items()):
                if now - since > self._settings.resume_window_s:
                    self._forget(live)

    async def drain(self) -> None:
        """Refuses new sessions and gives the open ones `Settings.drain_s` for their finals."""
        self.draining = True
        for live in list(self._detached):
            self._forget(live)
        for each in self._all:
            each.drain()
        # Each session's own deadline is `drain_s`; this is for one that cannot even be closed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s + CHECK_EVERY_S):
                await self._empty.wait()
