"""Processes that share their rooms, all of them in this one: pipes are plain calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.metrics import Metrics
from gateway.rooms.hub import Hub
from gateway.rooms.news import ROOMS
from gateway.rooms.shared import RoomsShared
from gateway.settings import Settings
from gateway.wire.messages import Final, Partial
from tests.clock import ClockDouble


class PipeDouble:
    """A pipe to a process, whose messages arrive at once."""

    def __init__(self, process: "ProcessDouble") -> None:
        self._process = process

    def send(self, message: dict[str, Any]) -> None:
        self._process.heard += 1
        self._process.rooms.take(message[ROOMS])

    async def flushed(self) -> None:
        pass


class ProcessDouble:
    """A gateway of which there is nothing but its rooms."""

    def __init__(self, hub: Hub, settings: Settings) -> None:
        self.hub, self.settings = hub, settings
        self.heard = 0
        """Messages of the hub's."""
        self.killed = False
        self.metrics = Metrics()
        self.rooms = RoomsShared(settings, self.metrics, self._say)
        self.member = hub.join(PipeDouble(self), self._kill)  # type: ignore[arg-type]
        self._reading = asyncio.create_task(self.member.write())

    def limited(self, setting: str) -> float:
        """Refusals because of a setting."""
        found = self.metrics.limited.labels(setting).collect()
        return next(iter(found)).samples[0].value

    def _say(self, text: str) -> None:
        self.member.take(text)

    def _kill(self) -> None:
        self.killed = True

    def successor(self) -> "ProcessDouble":
        """Of one that died."""
        return ProcessDouble(self.hub, self.settings)

    async def settle(self) -> None:
        """Hears all that it was told."""
        heard = -1
        while heard != self.heard:
            heard = self.heard
            for _ in range(5):
                await asyncio.sleep(0)

    def stop_reading(self) -> None:
        """What the hub says from now on waits."""
        self._reading.cancel()

    def die(self) -> None:
        """As `kill -9` does; the supervisor finds out."""
        self.stop_reading()
        self.member.leave()


@asynccontextmanager
async def processes(
    count: int, clock: ClockDouble | None = None, **settings: int
) -> AsyncIterator[list[ProcessDouble]]:
    """So many, with one hub."""
    known = Settings(**settings)  # type: ignore[arg-type]
    hub = Hub(known, clock or ClockDouble())
    started = [ProcessDouble(hub, known) for _ in range(count)]
    for each in started:
        await each.settle()
    try:
        yield started
    finally:
        for each in started:
            each.die()


def partial(segment: int, text: str) -> Partial:
    """Words of an open segment."""
    return Partial(segment, 1, text, "", 0, 1000, "en", 0)


def final(segment: int, text: str = " said") -> Final:
    """All words of a segment."""
    words = ({"text": text.strip(), "start_ms": 0, "end_ms": 1000},)
    return Final(segment, text, False, 0, 1000, "en", "endpoint", 0.9, words)


def never() -> None:
    """Of a session that nobody is to replace."""
    raise AssertionError("somebody took the room")
