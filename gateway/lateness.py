"""How late the event loop is: what holds it up holds up every session."""

import asyncio
from collections.abc import Callable

LOOK_EVERY_S = 0.1
"""Ten looks a second cost nothing that can be measured."""


async def watch_lateness(observe: Callable[[float], None]) -> None:
    """Until cancelled; tells by how many seconds each timer went off too late."""
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time() + LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
        observe(max(0.0, loop.time() - asked))
