"""Waiting for what a test asks for: a busy machine comes late, and a fixed time would not do."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], within_s: float = 10) -> None:
    """Returns when the condition holds.

    Raises:
        TimeoutError: it never did.
    """
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
