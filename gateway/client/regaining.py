"""A lost connection opened again, with growing delays, for as long as there is hope."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.client.errors import SessionError, from_close, from_event, not_the_protocol, stalled
from gateway.client.wire import Codec, Event

READY_TIMEOUT_S = 30
"""A server says `ready` at once or refuses; this only ends waiting for one that is neither."""

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0
STEADY_S = 5.0
"""A connection that stood so long was a good one: its loss is a new one."""

Dial = Callable[[dict[str, object]], Awaitable[ClientConnection]]
"""Connects with these options."""


class Regaining:
    """Opens a session's connections but the first.

    Args:
        within_s: since a connection was lost of which nothing good came; 0: not at all.
    """

    def __init__(self, dial: Dial, codec: Codec, within_s: float) -> None:
        self._dial, self._codec, self.within_s = dial, codec, within_s
        self._lost_at: float | None = None
        self._stands_since = asyncio.get_running_loop().time()

    def progressed(self) -> None:
        """The present connection serves its purpose."""
        self._lost_at = None

    async def regain(
        self, failure: SessionError, options: dict[str, object]
    ) -> tuple[ClientConnection, Event]:
        """A new connection and the `ready` that it began with.

        Raises:
            SessionError: there is none to be had.
        """
        loop = asyncio.get_running_loop()
        if self._lost_at is None or loop.time() - self._stands_since > STEADY_S:
            self._lost_at = loop.time()
        delay_s = FIRST_DELAY_S
        while failure.retryable:
            jitter = random.uniform(0.75, 1.25)  # noqa: S311 - so that not all come at once
            wait_s = max(delay_s * jitter, (failure.retry_after_ms or 0) / 1000)
            if loop.time() + wait_s > self._lost_at + self.within_s:
                break
            await asyncio.sleep(wait_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)
            try:
                regained = await self._open(options)
            except SessionError as again:
                failure = again
            else:
                self._stands_since = loop.time()
                return regained
        raise failure

    async def _open(self, options: dict[str, object]) -> tuple[ClientConnection, Event]:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                socket = await self._dial(options)
                ready = self._codec.decode(await socket.recv())
        except TimeoutError:
            raise stalled() from None
        except ConnectionClosed as closed:
            raise from_close(closed) from None
        if ready["type"] == "ready":
            return socket, ready
        await socket.close()
        raise from_event(ready, None) if ready["type"] == "error" else not_the_protocol()
