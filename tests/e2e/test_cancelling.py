"""A connection's tasks are cancelled at each place where they wait, one by one: nothing stays."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from gateway.client import Session, SessionError, connect
from gateway.server import run_in_background
from gateway.settings import Settings
from tests.speech import speech_at

pytestmark = pytest.mark.timeout(120)

MODEL = "tests.engine.models.doubles:DigestModel"
RATE = 16_000
SPEECH = speech_at("beckett.wav", RATE)[: 2 * RATE].tobytes()
FRAME = RATE // 5
"""Bytes of 100 ms."""
CONNECTIONS = ("run_asgi", "Connection._read", "Connection._write")
"""Coroutines whose waits are counted: uvicorn's of a connection, and ours."""


class Canceller:
    """Cancels a task of a connection at the one wait whose number it is told, counted from 1."""

    def __init__(self) -> None:
        self.waits, self.at, self.struck = 0, 0, ""

    def again(self, at: int) -> None:
        self.waits, self.at, self.struck = 0, at, ""

    def new_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        """See `asyncio.loop.set_task_factory`."""
        if getattr(coroutine, "__qualname__", "").endswith(CONNECTIONS):
            coroutine = self._counted(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def _counted(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await self._watched(coroutine)

    @types.coroutine
    def _watched(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration as end:
                return end.value
            self.waits += 1
            if self.waits == self.at:
                task = asyncio.current_task()
                assert task is not None
                self.struck = coroutine.__qualname__
                task.cancel()
            error = None
            try:
                yield waits_for
            except BaseException as thrown:
                error = thrown


@contextmanager
def cancelling() -> Generator[Canceller]:
    canceller, loop = Canceller(), asyncio.get_running_loop()
    loop.set_task_factory(canceller.new_task)
    try:
        yield canceller
    finally:
        loop.set_task_factory(None)


async def spoken(url: str) -> list[tuple[Any, ...]]:
    """All that must not differ."""
    while True:
        try:
            async with asyncio.timeout(20), connect(url) as session:
                speaking = asyncio.create_task(speak(session))
                finals = [event async for event in session if event["type"] == "final"]
                await speaking
        except SessionError as error:
            if error.code != "connection_lost":  # before the session stood: nothing was said
                raise
        else:
            return [(f["segment"], f["text"], f["end_ms"]) for f in finals]


async def speak(session: Session) -> None:
    for at in range(0, len(SPEECH), FRAME):
        await session.send(SPEECH[at : at + FRAME])
        await session.ping(str(at))  # waits in the connection's queue, as audio does not
        await asyncio.sleep(0.002)
    await session.stop()


async def test_at_each_wait() -> None:
    settings = Settings(port=0, runner="thread", model=MODEL, resume_window_s=0.2)
    with cancelling() as canceller:
        async with run_in_background(settings) as url:
            expected = await spoken(url)
            canceller.again(at=0)
            assert await spoken(url) == expected
            whole = canceller.waits
            await quiet()
            before = held()
            struck = set()

            for at in range(1, whole + 1):
                canceller.again(at)
                assert await spoken(url) == expected, (at, canceller.struck)
                struck.add(canceller.struck)

            await quiet()
            assert held() <= before
    assert whole > 20
    assert len(struck - {""}) == len(CONNECTIONS)


def held() -> tuple[int, int]:
    """Tasks and descriptors."""
    return len(asyncio.all_tasks()), psutil.Process().num_fds()


async def quiet() -> None:
    """Until what was detached is forgotten, and sockets are closed."""
    await asyncio.sleep(1.5)
