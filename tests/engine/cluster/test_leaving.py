"""A gateway ends amid its talk with the pool, without Ray between the two."""

import asyncio
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from engine.cluster import ray_actors
from engine.cluster.pool import Plan
from engine.cluster.runner import RayRunner
from tests.engine.cluster.doubles import Remote
from tests.engine.models.doubles import INFO

Answer = asyncio.Future[dict[str, Any]]


class PoolDouble:
    """Answers what it is asked when the test says so."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Answer] = asyncio.Queue()
        self.join, self.members = Remote(AsyncMock()), Remote(self._members)

    def _members(self) -> Answer:
        answer: Answer = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(answer)
        return answer

    async def answer(self) -> None:
        """That there is one copy."""
        copy = SimpleNamespace(forget=Remote(AsyncMock()))
        told = {"members": [(1, copy, asdict(INFO), 0, False)], "starting": [], "unavailable": ""}
        (await self.asked.get()).set_result(told)


@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_just_as_the_pool_answers(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Args:
        turns: of the event loop, from the answer to the end.
    """
    pool = PoolDouble()
    monkeypatch.setattr(ray_actors, "connect", lambda address, plan: None)
    monkeypatch.setattr(ray_actors, "pool_of", lambda plan: pool)
    runner = RayRunner("ray", Plan("double"))
    starting = asyncio.create_task(runner.start())
    await pool.answer()
    await starting

    await pool.answer()
    for _ in range(turns):
        await asyncio.sleep(0)
    closing = asyncio.create_task(runner.close())
    await asyncio.wait({closing}, timeout=5)
    assert closing.done()
    await closing
