"""Keeps copies of the model loaded whether or not a gateway asks, and says whether there are any.

What Ray Serve makes of it is in `gateway.ray_service`; nothing here knows of Ray.
"""

import asyncio
from typing import Any

from engine.cluster.pool import Plan

LOOK_EVERY_S = 0.5
ANSWER_WITHIN_S = 10.0


class NoCopyError(Exception):
    """No copy of the model takes work; the message says why."""


class Keeper:
    """Has the pool hold as many copies as it is to have at least."""

    def __init__(self, pool: Any, plan: Plan) -> None:
        """
        Args:
            pool: the actor of an `engine.cluster.pool.Pool`.
        """
        self._pool, self._plan = pool, plan

    async def load(self) -> None:
        """Returns when the copies have loaded.

        Raises:
            NoCopyError: the model cannot run in this cluster.
        """
        await self._pool.join.remote(self._plan)
        while True:
            copies, unavailable = await self._look()
            if unavailable:
                raise NoCopyError(unavailable)
            if copies >= self._plan.least:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def check(self) -> None:
        """To be called now and then: a pool that nobody asks ends.

        Raises:
            NoCopyError: all copies are gone, and none has loaded since.
        """
        copies, unavailable = await self._look()
        if not copies:
            raise NoCopyError(unavailable or "no copy of the model has loaded yet")

    async def copies(self) -> int:
        """How many take work."""
        copies, _ = await self._look()
        return copies

    async def _look(self) -> tuple[int, str]:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            told = await self._pool.members.remote()
        return len(told["members"]), told["unavailable"]
