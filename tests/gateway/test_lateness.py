"""The event loop's lateness is what a blocked loop makes a timer late by."""

import asyncio
import time

from gateway.lateness import watch_lateness


async def test_a_blocked_loop_is_late_by_as_much() -> None:
    late: list[float] = []
    watch = asyncio.create_task(watch_lateness(late.append))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - what blocks the loop is what this is about
    async with asyncio.timeout(10):
        while not late:
            await asyncio.sleep(0.01)
    watch.cancel()

    assert 0.19 <= late[0] < 5
